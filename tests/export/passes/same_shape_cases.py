"""Operators that keep a shape and change values (or nearly do nothing), as bodies of ONNX text from ``x`` to ``y``.

``x`` is float (1, 4, 6, 6), so that height, width and many products of axes are equal and a shape says little.
"""

from __future__ import annotations

CASES: dict[str, str] = {
    "flip height": "s = C1{-1} e = C1{-9223372036854775807} a = C1{2} t = C1{-1} y = Slice(x, s, e, a, t)",
    "flip width from the end": "s = C1{5} e = C1{-9223372036854775808} a = C1{-1} t = C1{-1} y = Slice(x, s, e, a, t)",
    "flip channels": "s = C1{-1} e = C1{-100} a = C1{1} t = C1{-1} y = Slice(x, s, e, a, t)",
    "flip both": "s = C2{-1,-1} e = C2{-100,-100} a = C2{2,3} t = C2{-1,-1} y = Slice(x, s, e, a, t)",
    "flip one axis of one": """p = GlobalAveragePool(x) s = C1{-1} e = C1{-100} a = C1{2} t = C1{-1}
        q = Slice(p, s, e, a, t) y = Add(x, q)""",
    "flip twice": """s = C1{-1} e = C1{-100} a = C1{2} t = C1{-1} f = Slice(x, s, e, a, t)
        y = Slice(f, s, e, a, t)""",
    "flip height, then width by a negative axis": """s = C1{-1} e = C1{-100} a = C1{2} b = C1{-1} t = C1{-1}
        f = Slice(x, s, e, a, t) y = Slice(f, s, e, b, t)""",
    "cut height, then the same axis from the end": """s = C1{1} e = C1{6} a = C1{2} t = C1{1} u = C1{0} v = C1{4}
        b = C1{-2} f = Slice(x, s, e, a, t) y = Slice(f, u, v, b, t)""",
    "cut by strides and flip": """s = C1{5} e = C1{-100} a = C1{2} t = C1{-2} u = C1{0} v = C1{6} b = C1{3} w = C1{2}
        f = Slice(x, s, e, a, t) y = Slice(f, u, v, b, w)""",
    "slice without steps": "s = C1{0} e = C1{6} a = C1{2} y = Slice(x, s, e, a)",
    "slice without axes": "s = C1{0} e = C1{1} y = Slice(x, s, e)",
    "transpose height and width": "y = Transpose<perm=[0,1,3,2]>(x)",
    "transpose twice": "a = Transpose<perm=[0,3,1,2]>(x) y = Transpose<perm=[0,3,1,2]>(a)",
    "transpose and back": "a = Transpose<perm=[0,2,3,1]>(x) y = Transpose<perm=[0,3,1,2]>(a)",
    "transpose by default": "a = Transpose(x) y = Transpose<perm=[3,2,0,1]>(a)",
    "rotate by 90": """s = C1{-1} e = C1{-100} a = C1{2} t = C1{-1} f = Slice(x, s, e, a, t)
        y = Transpose<perm=[0,1,3,2]>(f)""",
    "reshape, transpose, reshape": """i = C4{1,6,4,6} o = C4{1,4,6,6} a = Reshape(x, i)
        b = Transpose<perm=[0,2,1,3]>(a) y = Reshape(b, o)""",
    "reshape of zeros": "i = C4{0,-1,6,6} y = Reshape(x, i)",
    "reshape and back": "i = C3{4,6,6} o = C4{1,4,6,6} a = Reshape(x, i) y = Reshape(a, o)",
    "channel shuffle": """i = C5{1,2,2,6,6} o = C4{1,4,6,6} a = Reshape(x, i) b = Transpose<perm=[0,2,1,3,4]>(a)
        y = Reshape(b, o)""",
    "shuffle of height": """i = C5{1,4,2,3,6} o = C4{1,4,6,6} a = Reshape(x, i) b = Transpose<perm=[0,1,3,2,4]>(a)
        y = Reshape(b, o)""",
    "five axes, height and width exchanged": """i = C5{1,2,2,6,6} o = C4{1,4,6,6} a = Reshape(x, i)
        b = Transpose<perm=[0,1,2,4,3]>(a) y = Reshape(b, o)""",
    "windows that look like unshuffling": """i = C6{1,4,3,2,3,2} o = C4{1,16,3,3} a = Reshape(x, i)
        b = Transpose<perm=[0,1,5,3,2,4]>(a) y = Reshape(b, o)""",
    "unshuffling": """i = C6{1,4,3,2,3,2} o = C4{1,16,3,3} a = Reshape(x, i)
        b = Transpose<perm=[0,1,3,5,2,4]>(a) y = Reshape(b, o)""",
    "gather in another order": "i = C4{3,0,2,1} y = Gather<axis=1>(x, i)",
    "gather in order": "i = C4{0,1,2,3} y = Gather<axis=1>(x, i)",
    "gather by negative numbers": "i = C4{-1,-2,-3,-4} y = Gather<axis=1>(x, i)",
    "gather with repeats": "i = C4{0,0,1,1} y = Gather<axis=1>(x, i)",
    "gather of rows": "i = C6{5,4,3,2,1,0} y = Gather<axis=2>(x, i)",
    "gather of columns by a negative axis": "i = C6{1,0,3,2,5,4} y = Gather<axis=-1>(x, i)",
    "gather behind a convolution": "a = Conv(x, W4) i = C4{3,0,2,1} y = Gather<axis=-3>(a, i)",
    "pad and crop": "p = C8{0,0,1,0,0,0,-1,0} y = Pad(x, p)",
    "pad and crop by reflection": 'p = C8{0,0,2,-1,0,0,-2,1} y = Pad<mode="reflect">(x, p)',
    "pad of nothing": "p = C8{0,0,0,0,0,0,0,0} y = Pad(x, p)",
    "pad with axes": "p = C2{1,-1} a = C1{2} v = F0{7.5} y = Pad(x, p, v, a)",
    "pad with a value, then convolve": "p = C8{0,0,1,1,0,0,1,1} v = F0{3} a = Pad(x, p, v) y = Conv(a, K4)",
    "pad of edges, then convolve": 'p = C8{0,0,1,1,0,0,1,1} a = Pad<mode="edge">(x, p) y = Conv(a, K4)',
    "pad with zeros, then convolve": "p = C8{0,0,1,1,0,0,1,1} a = Pad(x, p) y = Conv(a, K4)",
    "crop, then convolve": "p = C8{0,0,-1,0,0,0,-1,0} a = Pad(x, p) y = Conv<pads=[1,1,1,1]>(a, K4)",
    "pad of channels, then convolve": "p = C8{0,1,0,0,0,-1,0,0} a = Pad(x, p) y = Conv(a, K4)",
    "pad, then max pool": "p = C8{0,0,1,1,0,0,1,1} a = Pad(x, p) y = MaxPool<kernel_shape=[3,3]>(a)",
    "pad, then average pool": "p = C8{0,0,1,1,0,0,1,1} a = Pad(x, p) y = AveragePool<kernel_shape=[3,3]>(a)",
    "resize by 1": 's = F4{1,1,1,1} y = Resize<mode="linear">(x, , s)',
    "resize by 1, one size given": 'z = C4{1,4,6,6} y = Resize<mode="cubic">(x, , , z)',
    "resize with a crop": """r = F8{0,0,0.2,0.2,1,1,0.7,0.7} z = C4{1,4,6,6}
        y = Resize<mode=\"linear\", coordinate_transformation_mode=\"tf_crop_and_resize\">(x, r, , z)""",
    "resize by 1.1 to the same size": 's = F4{1,1,1.1,1.1} y = Resize<mode="linear">(x, , s)',
    "resize nearest by 1.1, asymmetric": """s = F4{1,1,1.1,1.1}
        y = Resize<mode=\"nearest\", coordinate_transformation_mode=\"asymmetric\", nearest_mode=\"ceil\">(x, , s)""",
    "resize down and up": """s = F4{1,1,0.5,0.5} u = F4{1,1,2,2} a = Resize<mode=\"nearest\">(x, , s)
        y = Resize<mode=\"nearest\">(a, , u)""",
    "concat of one": "y = Concat<axis=1>(x)",
    "concat of halves exchanged": """z = C1{0} h = C1{2} f = C1{4} a = C1{1} p = Slice(x, z, h, a) q = Slice(x, h, f, a)
        y = Concat<axis=1>(q, p)""",
    "split and concat exchanged": "p, q = Split<axis=2, num_outputs=2>(x) y = Concat<axis=2>(q, p)",
    "split unevenly": "l = C2{1,3} p, q = Split<axis=1>(x, l) y = Concat<axis=1>(q, p)",
    "roll": """z = C1{0} h = C1{2} f = C1{6} a = C1{3} p = Slice(x, z, h, a) q = Slice(x, h, f, a)
        y = Concat<axis=3>(q, p)""",
    "expand of nothing": "z = C4{1,4,6,6} y = Expand(x, z)",
    "expand of a mean": "p = ReduceMean(x, A23) z = C4{1,4,6,6} y = Expand(p, z)",
    "expand before a sum that it changes": """p = GlobalAveragePool(x) z = C4{1,4,6,6} e = Expand(p, z)
        q = GlobalMaxPool(x) y = Add(e, q)""",
    "tile of nothing": "t = C4{1,1,1,1} y = Tile(x, t)",
    "tile of a crop": """p = C8{0,0,0,0,0,0,-3,0} a = Pad(x, p) t = C4{1,1,2,1} y = Tile(a, t)""",
    "depth to space and back": "a = DepthToSpace<blocksize=2>(x) y = SpaceToDepth<blocksize=2>(a)",
    "depth to space the other way and back": """a = DepthToSpace<blocksize=2, mode=\"CRD\">(x)
        y = SpaceToDepth<blocksize=2>(a)""",
    "depth to space of a constant of three axes": """a = Conv(x, W8) b = Add(a, V816)
        y = DepthToSpace<blocksize=2, mode=\"CRD\">(b)""",
    "depth to space of a computed rank of three": """g = Conv(x, W8) k = GlobalAveragePool(g) i = C3{8,1,1}
        q = Reshape(k, i) a = Conv(x, W8) b = Add(a, q) y = DepthToSpace<blocksize=2, mode=\"CRD\">(b)""",
    "depth to space of resized channels": """s = F4{1,2,1,1} a = Conv(x, W8) b = Resize<mode=\"nearest\">(a, , s)
        y = DepthToSpace<blocksize=2, mode=\"CRD\">(b)""",
    "depth to space of what is wider": """a = Conv(x, W1) b = Conv(x, W8) c = Add(a, b)
        y = DepthToSpace<blocksize=2, mode=\"CRD\">(c)""",
    "clip of a clip that it contradicts": "l = F0{0} h = F0{1} m = F0{2} k = F0{3} a = Clip(x, l, h) y = Clip(a, m, k)",
    "clip below zero behind relu": "m = F0{-2} k = F0{-1} a = Relu(x) y = Clip(a, m, k)",
    "relu behind a clip below zero": "m = F0{-2} k = F0{-1} a = Clip(x, m, k) y = Relu(a)",
    "clip with its ends exchanged": "l = F0{1} h = F0{0} y = Clip(x, l, h)",
    "max of a min that it contradicts": "l = F0{2} h = F0{1} a = Min(x, h) y = Max(a, l)",
    "min of a max that it contradicts": "l = F0{2} h = F0{1} a = Max(x, l) y = Min(a, h)",
    "max per channel": "y = Max(x, V411)",
    "relu behind a pool": "a = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1], strides=[1,1]>(x) y = Relu(a)",
    "clip behind average pool": """l = F0{-0.1} h = F0{0.1}
        a = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], strides=[1,1]>(x) y = Clip(a, l, h)""",
    "gelu": """h = F0{0.5} o = F0{1} r = F0{0.70710678} a = Mul(x, r) b = Erf(a) c = Add(b, o) d = Mul(x, c)
        y = Mul(d, h)""",
    "gelu times x": """h = F0{0.5} o = F0{1} r = F0{0.70710678} a = Mul(x, r) b = Erf(a) c = Add(b, o) d = Mul(x, c)
        f = Mul(x, d) y = Mul(f, h)""",
    "gelu of a number that is not its": """h = F0{0.5} o = F0{1} r = F0{0.8} a = Mul(x, r) b = Erf(a) c = Add(b, o)
        d = Mul(x, c) y = Mul(d, h)""",
    "gelu that another reads": """h = F0{0.5} o = F0{1} r = F0{0.70710678} a = Mul(x, r) b = Erf(a) c = Add(b, o)
        d = Mul(x, c) f = Mul(d, h) y = Add(f, d)""",
    "power of one of another shape": "a = Pow(x, ONE5) i = C4{1,4,6,6} y = Reshape(a, i)",
    "plus zero of another shape": "y = Add(x, ZERO5)",
    "plus zeros that widen": "p = ReduceMean(x, A23) y = Add(p, ZERO)",
    "times ones that widen": "p = GlobalAveragePool(x) y = Mul(p, ONE)",
    "minus from zero": "o = F0{0} y = Sub(o, x)",
    "divided into one": "o = F0{1} y = Div(o, x)",
    "reduce over no axes": "y = ReduceMean<noop_with_empty_axes=1>(x, E0)",
    "reduce over all axes": "y = ReduceMean<keepdims=1>(x)",
    "reduce without its axes to the same shape": """a = C1{0} p = ReduceSum<keepdims=0>(x, a) i = C4{1,4,6,6}
        y = Reshape(p, i)""",
    "norm over no axes": "y = ReduceL2<noop_with_empty_axes=1>(x, E0)",
    "softmax over one": "p = GlobalAveragePool(x) y = Softmax<axis=2>(p)",
    "softmax over rows": "y = Softmax<axis=-2>(x)",
    "product of what was pooled": """g = GlobalAveragePool(x) i = C2{1,4}
        f = Reshape(g, i) m = MatMul(f, M44) y = Add(m, V14)""",
    "pool, convolve without bias, flatten, add": """g = GlobalAveragePool(x) c = Conv(g, W4) i = C2{1,4}
        f = Reshape(c, i) y = Add(f, V14)""",
    "batch that is channels": """i = C4{4,4,3,3} b = Reshape(x, i) g = GlobalAveragePool(b) c = Conv(g, W4, B4)
        j = C2{4,4} f = Reshape(c, j) y = Add(f, V41)""",
    "batch normalization": "y = BatchNormalization(x, B4, B4, B4, P4)",
    "convolution, batch normalization": "a = Conv(x, W4) y = BatchNormalization(a, B4, B4, B4, P4)",
    "transposed convolution, batch normalization": """a = ConvTranspose(x, W4)
        y = BatchNormalization(a, B4, B4, B4, P4)""",
    "grouped transposed convolution, batch normalization": """a = ConvTranspose<group=2>(x, G4)
        y = BatchNormalization(a, B4, B4, B4, P4)""",
    "hard sigmoid": "y = HardSigmoid<alpha=0.3, beta=0.4>(x)",
    "hard sigmoid downwards": "y = HardSigmoid<alpha=-0.3, beta=0.4>(x)",
    "two convolutions with one kernel": """a = Conv(x, W8) b = Conv(x, W8)
        c = DepthToSpace<blocksize=2, mode=\"CRD\">(a) d = DepthToSpace<blocksize=2>(b) y = Sub(c, d)""",
    "cast there and back": "a = Cast<to=6>(x) y = Cast<to=1>(a)",
    "mod by one": "o = F0{1} y = Mod<fmod=1>(x, o)",
    "sum of the same two ways": "a = Neg(x) b = Neg(a) y = Sub(b, a)",
}
