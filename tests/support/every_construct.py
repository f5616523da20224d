"""One of every construct, run once: the program on which engines are compared with the interpreter."""

# The layout is what is tested: keep formatters away.
# fmt: off
# ruff: noqa: D300, D403, I001, ISC002, PIE790

import asyncio, contextlib
LOG = []
def note(*a): LOG.append(a)
def ident(x): return x
def deco(f):
    return f
def loops(n):
    total = 0
    for i in range(n):
        if i % 2:
            continue
        total += i
    else:
        total += 100
    while n:
        n -= 1
        if n == 2:
            break
    else:
        total -= 1
    while n: n -= 1
    for i in range(3): total += i
    return total
def oneliner(n): return [i for i in range(n)]
def tries(kind):
    try:
        note('body')
        if kind == 1:
            raise ValueError(kind)
        if kind == 2:
            raise KeyError(kind)
        if kind == 3:
            return 'early'
        if kind == 5: raise ZeroDivisionError
    except ValueError as e:
        note('value', e.args)
    except (KeyError,
            IndexError):
        note('key')
    else:
        note('else')
    finally:
        note('finally')
    return kind
def nested_try():
    for i in range(4):
        try:
            try:
                if i == 1:
                    continue
                if i == 2:
                    raise RuntimeError
                if i == 3:
                    break
            finally:
                note(i)
        except RuntimeError:
            pass
    try:
        try: raise KeyError(1)
        except KeyError: raise ValueError(2)
        finally: note('f')
    except ValueError: note('v')
    try: pass
    finally: pass
    try:
        pass
    except Exception:
        pass
class CM:
    def __init__(self, swallow=False): self.swallow = swallow
    def __enter__(self):
        return self
    def __exit__(self, *a):
        note('exit', a[0])
        return self.swallow
    async def __aenter__(self): return self
    async def __aexit__(self, *a):
        await asyncio.sleep(0)
        return self.swallow
def withs():
    with CM() as c:
        note(c.swallow)
    with CM(True):
        raise ValueError
    with CM(True): raise ValueError
    with CM(True) as a, CM(True) as b:
        note(1)
        raise KeyError
    with CM(
        True
    ) as x: note(x.swallow)
    for i in range(3):
        with CM():
            if i == 1: continue
            if i == 2: break
            note(i)
    with CM(), \
         CM(True):
        return ident(
            5)
def with_return():
    with CM():
        return 7
def multiline(a, b):
    x = ident(
        a
    )
    y = (x if b else
         a)
    z = [a,
         b,
         x
         ]
    w = {
        'a': a,
        'b': ident(b),
    }
    if (a and
            b or
            x):
        note(z, w)
    q = (note(a)
         or note(b)
         or ident(
             x))
    assert a or \
        b, "message"
    s = f"{a}" \
        f"{b}"
    return (x,
            y,
            q, s)
def chained(a):
    return (str(a)
            .replace('a',
                     'b')
            .format(x=1,
                    y=2)
            .strip())
def kwcall(a):
    return dict(
        a=a,
        b=ident(
            a),
    )
def kwmeth(a):
    return ("{x}"
        .format(x=a)
        .format(
            y=a))
def gen(n):
    for i in range(n):
        got = yield i
        if got:
            note(got)
    try:
        yield 'last'
    finally:
        note('closed')
def gen2(n): yield from gen(n)
def gen3(n):
    x = yield from gen(
        n)
    return [(yield 1),
            (yield 2)]
def closures():
    x = 1
    def inner():
        nonlocal x
        x += 1
        return x
    f = lambda: inner()
    g = lambda a: (a +
                   x)
    f(); g(1)
    return [f(), inner()]
def comps(n):
    a = [i for i in range(n)]
    b = [i
         for i in range(n)
         if i % 2]
    c = {i: j
         for i in range(n)
         for j in range(i)
         if j}
    d = {i for i in range(n)}
    e = list(x * 2 for x in range(n))
    f = sum(x
            for x in range(n))
    return a, b, c, d, e, f
@deco
@deco
def decorated(
    a,
    b=2,
    *,
    c: int = 3,
):
    "docstring"
    return a + b + c
@deco
class K(
    CM
):
    """doc"""
    x: int = 1
    y = [i for i in range(2)]
    def m(self): return super().__init__()
    @property
    def p(self):
        return self.x
    @staticmethod
    def s(): return 1
    @classmethod
    def c(cls):
        return cls.x
    def __mangled(self):
        return self.x
    def call(self): return self.__mangled()
async def agen(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i
async def acomps(n):
    a = [i async for i in agen(n)]
    b = [i
         async for i
         in agen(n)
         if i]
    c = [await asyncio.sleep(0, i) for i in range(n)]
    return a, b, c
async def amain():
    async for x in agen(3):
        note(x)
    else:
        note('done')
    async for x in agen(2): note(x)
    async with CM() as c:
        note(c.swallow)
    async with CM(True):
        raise ValueError
    async with CM(True): raise ValueError
    try:
        await asyncio.wait_for(asyncio.sleep(1),
                               0.001)
    except asyncio.TimeoutError:
        note('timeout')
    r = await asyncio.gather(acomps(3),
                             acomps(2))
    return r
def globals_(a):
    global G
    G = a
    del G
    import os, \
        sys
    from os import (path,
                    sep)
    lst = [1, 2, 3]
    (p, q,
     r) = lst
    lst[0], lst[
        1] = 4, 5
    lst[0] += ident(
        1)
    del lst[
        0]
    return p
def elifs(x):
    if x == 1:
        return 'a'
    elif x == 2:
        r = 'b'
    elif x == 3: r = 'c'
    else:
        pass
        r = 'd'
    return r
def whiles():
    while True:
        if len(LOG) > 0: break
    i = 0
    while i < 3 and (
            i != 7):
        i += 1
        try:
            if i == 2: continue
        finally:
            note(i)
    while 1:
        i += 1
        if i > 5:
            return i
def exc_in_handler():
    try:
        try:
            ident(1)
            raise ValueError
        except ValueError as e:
            note(
                1)
            raise KeyError from e
    except KeyError: pass
    for i in range(2):
        try: ident(i); raise ValueError
        except ValueError: continue
        finally: note(3)
    def thrower():
        try:
            yield 1
        except ValueError:
            yield 2
        yield 3
    t = thrower(); next(t); t.throw(ValueError()); list(t)
    t = thrower(); next(t); t.close()
def ret_finally():
    try:
        return ident(
            1)
    finally:
        ident(
            2)
def ret_finally_loop():
    for i in range(3):
        try:
            if i == 1:
                return i
        finally:
            if i:
                note('x')
def many(x): 
    if x: return 1 
    return 2 if x else 3
@contextlib.contextmanager
def passing_on(p):
    try:
        yield
    except KeyError as x:
        if x.args:
            p = 1
        if p is not None and x.args:
            p = 2
        raise
    except ValueError as x:
        p = 3
        raise
def raised_again(v, fail):
    with passing_on(v):
        v = 1
        try:
            if fail: raise fail
        except Exception:
            if fail != 7:
                raise

            v = None
    if v:
        v = 3
def run():
    for fail in (None, KeyError(), KeyError(1), ValueError(2), TypeError(3)):
        try: raised_again(None, fail)
        except Exception: pass
    loops(5); loops(1)
    oneliner(3)
    for k in range(5): tries(k)
    try: tries(5)
    except ZeroDivisionError: pass
    nested_try(); withs(); with_return()
    multiline(1, 2); multiline(0, 1); multiline(1, 0)
    chained('abc'); kwcall(1); kwmeth(1)
    list(gen(3)); g = gen(2); next(g); g.send('x'); g.close()
    list(gen2(2)); list(gen3(2))
    closures(); comps(4)
    decorated(1)
    k = K(); k.m(); k.p; k.s(); k.c(); k.call()
    asyncio.run(amain())
    globals_(1)
    for x in range(1, 5): elifs(x)
    whiles()
    exc_in_handler()
    ret_finally(); ret_finally_loop()
    many(1); many(0)
    exec("a = 1\nfor b in range(2):\n    a += b\n", {})
if __name__ != "tests.support.every_construct":
    run()
