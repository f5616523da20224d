"""Random programs of every statement, nested in every way, that end and always do the same."""

# fmt: off
from __future__ import annotations

import random


class ProgramMaker:
    """Writes the same program for the same seed, on every Python."""

    def __init__(self, seed):
        self.r = random.Random(seed); self.n = 0
    def expr(self, d=0):
        r = self.r
        k = r.randrange(14 if d < 2 else 4)
        if k == 0: return 'c()'
        if k == 1: return str(r.randrange(5))
        if k == 2: return 'f(%d)' % r.randrange(4)
        if k == 3: return 'c()'
        nl = r.choice(['', '\n  '])
        if k == 4: return '(%s and%s %s)' % (self.expr(d+1), nl, self.expr(d+1))
        if k == 5: return '(%s or%s %s)' % (self.expr(d+1), nl, self.expr(d+1))
        if k == 6: return '(%s if %s%s else%s %s)' % (self.expr(d+1), self.expr(d+1), nl, r.choice(['','\n ']), self.expr(d+1))
        if k == 7: return 'f(%s%s,%s%s)' % (nl, self.expr(d+1), r.choice(['','\n ']), self.expr(d+1))
        if k == 8: return '[%s%s for q in range(%d)%s if %s]' % (self.expr(d+1), nl, r.randrange(3), nl, self.expr(d+1))
        if k == 9: return '(lambda q=%s:%s %s)()' % (self.expr(d+1), nl, self.expr(d+1))
        if k == 10: return 'f(%sk=%s%s)' % (nl, nl, self.expr(d+1))
        if k == 11: return 'o%s.m(%s%s)%s.m(%sz=%s)' % (nl and '', self.expr(d+1), nl, nl and '', nl, self.expr(d+1))
        if k == 12: return '(not %s) %s< %s' % (self.expr(d+1), '', self.expr(d+1))
        if k == 13: return 'list(%s%s for q in range(%d))' % (self.expr(d+1), nl, r.randrange(3))
    def simple(self, inl, ind):
        r = self.r
        k = r.randrange(12)
        e = self.expr()
        if k < 4: return e
        if k == 4: return 'v = ' + e
        if k == 5: return 'v, w = (%s,\n %s)' % (e, self.expr())
        if k == 6: return 'pass'
        if k == 7: return 'raise E%d(%s)' % (r.randrange(2), r.choice(['', '\n']))
        if k == 8: return 'return ' + e
        if k == 9 and inl: return r.choice(['break', 'continue'])
        if k == 10: return 'assert %s, %s' % (e, self.expr())
        if k == 11 and self.gen: return r.choice(['yield ' + e, 'v = yield', 'v = yield from g0(%s)' % r.randrange(3)]) if self.gen == 1 else r.choice(['await a(%s)' % e, 'v = await a(1)'])
        return 'v = f(v)' if r.random() < .5 else e
    def suite(self, d, inl, ind):
        r = self.r
        if r.random() < .2:
            return ' ' + self.simple(inl, ind) + '\n'
        return '\n' + self.block(d+1, inl, ind + '    ')
    def block(self, d, inl, ind):
        return ''.join(self.stmt(d, inl, ind) for _ in range(self.r.randrange(1, 4)))
    def stmt(self, d, inl, ind):
        r = self.r
        k = r.randrange(10)
        if d > 3 or k < 3: return ind + self.simple(inl, ind) + '\n'
        if k == 3:
            s = ind + 'if %s:' % self.expr() + self.suite(d, inl, ind)
            while r.random() < .3: s += ind + 'elif %s:' % self.expr() + self.suite(d, inl, ind)
            if r.random() < .5: s += ind + 'else:' + self.suite(d, inl, ind)
            return s
        if k == 4:
            a = 'async ' if self.gen == 2 and r.random() < .4 else ''
            it = 'ag(%d)' % r.randrange(4) if a else 'range(%d)' % r.randrange(4)
            s = ind + a + 'for i in %s:' % it + self.suite(d, True, ind)
            if r.random() < .3: s += ind + 'else:' + self.suite(d, inl, ind)
            return s
        if k == 5:
            s = ind + 'while c() or %s < c():' % self.expr(2) + self.suite(d, True, ind)
            if r.random() < .3: s += ind + 'else:' + self.suite(d, inl, ind)
            return s
        if k in (6, 7):
            s = ind + 'try:' + self.suite(d, inl, ind)
            n = r.randrange(3)
            for j in range(n):
                s += ind + 'except ' + r.choice(['E0', 'E1', 'E0 as e', 'E1 as e', '(E0,\n E1)']) + ':' + self.suite(d, inl, ind)
            if n and r.random() < .3: s += ind + 'else:' + self.suite(d, inl, ind)
            if not n or r.random() < .5: s += ind + 'finally:' + self.fin(d, ind)
            return s
        if k == 8:
            a = 'async ' if self.gen == 2 and r.random() < .4 else ''
            items = ', '.join('cm(%s)%s' % (r.choice(['0', '1', self.expr()]), r.choice(['', ' as v'])) for _ in range(r.randrange(1, 3)))
            return ind + a + 'with ' + items + ':' + self.suite(d, inl, ind)
        if k == 9:
            old, self.gen = self.gen, 0
            self.n += 1
            name = 'fn%d' % self.n
            s = ind + 'def %s(x=%s):' % (name, self.expr()) + self.suite(d, False, ind) + ind + '%s()\n' % name
            self.gen = old
            return s
    def fin(self, d, ind):
        return self.suite(d, False, ind)
    def program(self):
        s = PRE
        calls = ''
        for i in range(4):
            self.gen = self.r.randrange(3)
            s += {0: '', 1: '', 2: 'async '}[self.gen] + 'def t%d(x=1):' % i + self.suite(0, False, '')
            if self.gen == 1: s += '    yield 1\n' if not s.endswith(':') and False else ''
            calls += 'for s in range(6): run(t%d, s)\n' % i
        return s + calls
PRE = '''import itertools
class E0(Exception): pass
class E1(Exception): pass
class Stop(BaseException): pass
S = [0]
N = [0]
def c():
    N[0] += 1
    if N[0] > 150: raise Stop
    S[0] = (S[0] * 1103515245 + 12345) % 2**31
    return (S[0] >> 16) % 3 == 0
def f(*a, **k):
    if (S[0] >> 12) % 7 == 1 and c(): raise E0
    c()
    return len(a)
class O:
    def m(self, *a, **k): return self
o = O()
class cm:
    def __init__(self, s): self.s = s
    def __enter__(self): return self
    def __exit__(self, *a): return bool(self.s)
    async def __aenter__(self): return await a(1)
    async def __aexit__(self, *a_): return bool(await a(self.s))
def g0(n):
    for i in range(n):
        try: yield i
        except E1: yield 7
class A:
    def __init__(self, v): self.v = v
    def __await__(self):
        yield 1
        return self.v
async def a(v):
    return await A(v)
async def ag(n):
    for i in range(n):
        await a(1)
        yield i
v = w = None
def run(t, s):
    S[0] = s * 7919 + 5; N[0] = 0
    try:
        r = t()
        if hasattr(r, 'send'):
            for step in range(30):
                r.send(None)
    except (E0, E1, Stop, StopIteration, TypeError, AssertionError, RuntimeError, NameError, ValueError): pass
'''
