"""Tables of cases that every engine must answer alike."""
