// A thread that the interpreter ends in the middle of a hit.
//
// Up to 3.13 a daemon thread that wants the GIL back while the interpreter is ending is ended by
// pthread_exit, which glibc does by unwinding the stack. In our frames that would run destructors, which
// touch objects without the GIL, and end the process at the first function that is noexcept. So they are
// passed over, as frames of C are: whatever asks C++'s own routine in this module asks this one (see
// CMakeLists.txt).
#include <unwind.h>

extern "C" {

_Unwind_Reason_Code __real___gxx_personality_v0(int version, _Unwind_Action actions,
                                                _Unwind_Exception_Class kind, _Unwind_Exception* exception,
                                                _Unwind_Context* context);

__attribute__((used, visibility("hidden"))) _Unwind_Reason_Code
__wrap___gxx_personality_v0(int version, _Unwind_Action actions, _Unwind_Exception_Class kind,
                            _Unwind_Exception* exception, _Unwind_Context* context) {
    if ((actions & _UA_FORCE_UNWIND) != 0) {
        return _URC_CONTINUE_UNWIND;
    }
    return __real___gxx_personality_v0(version, actions, kind, exception, context);
}
}
