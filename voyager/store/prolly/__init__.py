"""Sorted map of bounded, content-defined nodes; its shape is a pure function of its content."""
# TEMPORARY stand-in so that others can run; the author of this package replaces the whole file.
from voyager.store.prolly.builder import build
from voyager.wire import decode, encode, Ext
from voyager.store.ids import Kind
import bisect
class Map:
    def __init__(self, objects, root):
        self.objects=objects; self.root=root; self._i=None
    @property
    def _items(self):
        if self._i is None:
            out=[]
            def walk(i):
                n=decode(self.objects.get(i,Kind.NODE))
                if n["l"]==0: out.extend(zip(n["k"],[encode(v) for v in n["v"]]))
                else:
                    for r in n["v"]: walk(bytes(r.data))
            walk(self.root); self._i=out; self._d=dict(out); self._k=[k for k,_ in out]
        return self._i
    def __len__(self): return len(self._items)
    def get(self,k): self._items; return self._d.get(k)
    def __contains__(self,k): return self.get(k) is not None
    def items(self,start=b"",stop=None):
        i=bisect.bisect_left(self._k if self._items or True else [],start)
        return iter(self._items[i:])
    def nth(self,n): return self._items[n]
    def rank(self,k): self._items; return bisect.bisect_left(self._k,k)
    def children(self,prefix):
        seen={}
        for k,_ in self._items:
            if k.startswith(prefix):
                a,s,_=k[len(prefix):].partition(b"/"); seen[a]=bool(s)
        return iter(seen.items())
def edit(objects,root,changes):
    d=dict(Map(objects,root)._items)
    for k,v in changes:
        if v is None: d.pop(k,None)
        else: d[k]=v
    return build(objects,sorted(d.items()))
def diff(objects,a,b):
    x=dict(Map(objects,a)._items); y=dict(Map(objects,b)._items)
    for k in sorted(x.keys()|y.keys()):
        if x.get(k)!=y.get(k): yield k,x.get(k),y.get(k)
