//! Convolution and its gradients on `[n, h, w, c]` by oneDNN.

use std::ffi::c_int;

use super::functions::{CONVOLUTION_DIRECT, FORWARD_TRAINING, Handle, arg, query, tag};
use super::library::{LINE, OneDnn, OneDnnError};
use super::primitive::{Argument, Attributes, Desc, Memory, Primitive};
use crate::backend::cpu::kernels::conv::Geometry;
use crate::backend::cpu::kernels::element::{DType, Element};
use crate::backend::cpu::kernels::epilogue::Epilogue;

/// A convolution of batches of one size, of images of one dtype. Weights, bias and their gradients are `f32`, weights
/// `[kh, kw, in / groups, out]`, which the library reorders for itself; sums are `f32`.
pub(crate) struct Convolution {
    library: OneDnn,
    images: [Desc; 2],
    weights: Desc,
    bias: Option<Desc>,
    forward: Weighted,
    backward_input: Weighted,
    backward_weight: Weighted,
}

/// What a convolution computes.
pub(crate) struct ConvSpec<'a> {
    pub(crate) geometry: &'a Geometry,
    pub(crate) batch: usize,
    /// Of the images; weights are `f32`.
    pub(crate) dtype: DType,
    pub(crate) epilogue: Epilogue,
}

/// The parameters of a convolution, in the layers' layout.
#[derive(Clone, Copy)]
pub(crate) struct ConvParams<'a> {
    pub(crate) weight: &'a [f32],
    pub(crate) bias: Option<&'a [f32]>,
}

/// Where their gradients are written.
pub(crate) struct ConvGradients<'a> {
    pub(crate) weight: &'a mut [f32],
    /// Empty without a bias.
    pub(crate) bias: &'a mut [f32],
}

/// A pass with the copy between the weights' order and its own.
struct Weighted {
    pass: Primitive,
    weights: Desc,
    copy: Primitive,
}

impl Convolution {
    /// # Errors
    /// [`OneDnnError::Refused`] when the library has no implementation for this shape, dtype or processor.
    pub(crate) fn new(library: &OneDnn, spec: &ConvSpec<'_>) -> Result<Self, OneDnnError> {
        let ConvSpec { geometry, batch, dtype, epilogue } = *spec;
        let conv = &geometry.conv;
        let image = |channels, [height, width]: [usize; 2]| {
            Desc::new(library, &[batch, channels, height, width], dtype, tag::NHWC)
        };
        let images = [image(conv.in_channels, geometry.input)?, image(conv.out_channels, geometry.output)?];
        let [height, width] = conv.kernel;
        let (from, to) = (geometry.group_in(), geometry.group_out());
        let (dims, order) = match conv.groups {
            1 => (vec![to, from, height, width], tag::HWIO),
            groups => (vec![groups, to, from, height, width], tag::HWIGO),
        };
        let kernel = |dtype, tag| Desc::new(library, &dims, dtype, tag);
        let (weights, free) = (kernel(DType::F32, order)?, kernel(dtype, tag::ANY)?);
        let bias = conv.bias.then(|| Desc::vector(library, conv.out_channels)).transpose()?;
        let call = Call {
            library,
            images: images.each_ref().map(Desc::handle),
            bias: bias.as_ref().map_or(std::ptr::null_mut(), Desc::handle),
            window: Window::of(geometry),
        };
        let forward = Weighted::reading(library, call.forward(&free, epilogue)?, &weights)?;
        let hint = forward.pass.desc();
        let backward_input = Weighted::reading(library, call.backward_input(&free, hint)?, &weights)?;
        let gradient = kernel(DType::F32, tag::ANY)?;
        let backward_weight = Weighted::writing(library, call.backward_weight(&gradient, hint)?, &weights)?;
        Ok(Self { library: library.clone(), images, weights, bias, forward, backward_input, backward_weight })
    }

    /// `y = epilogue(x * weight + bias)`.
    pub(crate) fn forward<T: Element>(&self, x: &[T], params: ConvParams<'_>, y: &mut [T]) -> Result<(), OneDnnError> {
        let ConvParams { weight, bias } = params;
        let source = Argument::read(arg::SRC, &self.images[0], x);
        let result = Argument::write(arg::DST, &self.images[1], y);
        self.with_weights(&self.forward, weight, |scratch, weights| {
            let pass = &self.forward.pass;
            match (&self.bias, bias) {
                (Some(desc), Some(bias)) => {
                    pass.run(scratch, [source, weights, Argument::read(arg::BIAS, desc, bias), result])
                }
                _ => pass.run(scratch, [source, weights, result]),
            }
        })
    }

    /// The gradient of `x`.
    pub(crate) fn backward_input<T: Element>(&self, dy: &[T], weight: &[f32], dx: &mut [T]) -> Result<(), OneDnnError> {
        let source = Argument::read(arg::DIFF_DST, &self.images[1], dy);
        let result = Argument::write(arg::DIFF_SRC, &self.images[0], dx);
        self.with_weights(&self.backward_input, weight, |scratch, weights| {
            self.backward_input.pass.run(scratch, [source, weights, result])
        })
    }

    /// The gradients of the weights and of the bias.
    pub(crate) fn backward_weight<T: Element>(
        &self,
        x: &[T],
        dy: &[T],
        gradients: ConvGradients<'_>,
    ) -> Result<(), OneDnnError> {
        let ConvGradients { weight: dw, bias: db } = gradients;
        let Weighted { pass, weights, copy } = &self.backward_weight;
        let (size, scratch) = (lines(weights.size()), pass.scratch().max(copy.scratch()));
        self.library.with_scratch(size + scratch, |memory| {
            let (own, scratch) = memory.split_at_mut(size);
            let x = Argument::read(arg::SRC, &self.images[0], x);
            let dy = Argument::read(arg::DIFF_DST, &self.images[1], dy);
            let gradient = Argument { arg: arg::DIFF_WEIGHTS, desc: weights, memory: Memory::Write(own) };
            match &self.bias {
                Some(desc) => pass.run(scratch, [x, dy, gradient, Argument::write(arg::DIFF_BIAS, desc, db)])?,
                None => pass.run(scratch, [x, dy, gradient])?,
            }
            let from = Argument { arg: arg::SRC, desc: weights, memory: Memory::Read(own) };
            copy.run(scratch, [from, Argument::write(arg::DST, &self.weights, dw)])
        })
    }

    /// Runs a pass with the weights in its own order.
    fn with_weights(
        &self,
        weighted: &Weighted,
        weight: &[f32],
        run: impl FnOnce(&mut [u8], Argument<'_>) -> Result<(), OneDnnError>,
    ) -> Result<(), OneDnnError> {
        let Weighted { pass, weights, copy } = weighted;
        let (size, scratch) = (lines(weights.size()), pass.scratch().max(copy.scratch()));
        self.library.with_scratch(size + scratch, |memory| {
            let (own, scratch) = memory.split_at_mut(size);
            let from = Argument::read(arg::SRC, &self.weights, weight);
            copy.run(scratch, [from, Argument { arg: arg::DST, desc: weights, memory: Memory::Write(own) }])?;
            run(scratch, Argument { arg: arg::WEIGHTS, desc: weights, memory: Memory::Read(own) })
        })
    }
}

impl Weighted {
    /// For a pass that reads weights, which are copied from the caller's order into its own.
    fn reading(library: &OneDnn, pass: Primitive, callers: &Desc) -> Result<Self, OneDnnError> {
        let weights = pass.chosen(query::WEIGHTS)?;
        let copy = Primitive::reorder(library, callers, &weights)?;
        Ok(Self { pass, weights, copy })
    }

    /// For a pass that writes their gradient, which is copied from its own order into the caller's.
    fn writing(library: &OneDnn, pass: Primitive, callers: &Desc) -> Result<Self, OneDnnError> {
        let weights = pass.chosen(query::DIFF_WEIGHTS)?;
        let copy = Primitive::reorder(library, &weights, callers)?;
        Ok(Self { pass, weights, copy })
    }
}

/// The arguments that the three passes have in common.
struct Call<'a> {
    library: &'a OneDnn,
    /// Descriptors of the input and the output images.
    images: [Handle; 2],
    /// Null without a bias.
    bias: Handle,
    window: Window,
}

impl Call<'_> {
    fn forward(&self, weights: &Desc, epilogue: Epilogue) -> Result<Primitive, OneDnnError> {
        let attributes = Attributes::new(self.library, epilogue)?;
        let (engine, [x, y], bias) = (self.library.engine(), self.images, self.bias);
        let [strides, dilates, before, after] = self.window.pointers();
        let (weights, attr) = (weights.handle(), attributes.handle());
        let (kind, algorithm) = (FORWARD_TRAINING, CONVOLUTION_DIRECT);
        Primitive::new(self.library, "plan a convolution", |functions, handle| {
            let create = functions.convolution_forward_primitive_desc_create;
            #[expect(unsafe_code, reason = "a call of the library")]
            // SAFETY: the handles are of descriptors and of attributes, the pointers to a number for each axis.
            unsafe {
                create(handle, engine, kind, algorithm, x, weights, bias, y, strides, dilates, before, after, attr)
            }
        })
    }

    /// `hint` is the descriptor of the forward pass.
    fn backward_input(&self, weights: &Desc, hint: Handle) -> Result<Primitive, OneDnnError> {
        let attributes = Attributes::new(self.library, Epilogue::Identity)?;
        let (engine, [x, y]) = (self.library.engine(), self.images);
        let [strides, dilates, before, after] = self.window.pointers();
        let (weights, attr, algorithm) = (weights.handle(), attributes.handle(), CONVOLUTION_DIRECT);
        Primitive::new(self.library, "plan a gradient of images", |functions, handle| {
            let create = functions.convolution_backward_data_primitive_desc_create;
            #[expect(unsafe_code, reason = "a call of the library")]
            // SAFETY: as in the forward pass, whose descriptor the hint is.
            unsafe {
                create(handle, engine, algorithm, x, weights, y, strides, dilates, before, after, hint, attr)
            }
        })
    }

    /// `hint` is the descriptor of the forward pass.
    fn backward_weight(&self, gradient: &Desc, hint: Handle) -> Result<Primitive, OneDnnError> {
        let attributes = Attributes::new(self.library, Epilogue::Identity)?;
        let (engine, [x, y], bias) = (self.library.engine(), self.images, self.bias);
        let [strides, dilates, before, after] = self.window.pointers();
        let (gradient, attr, algorithm) = (gradient.handle(), attributes.handle(), CONVOLUTION_DIRECT);
        Primitive::new(self.library, "plan a gradient of weights", |functions, handle| {
            let create = functions.convolution_backward_weights_primitive_desc_create;
            #[expect(unsafe_code, reason = "a call of the library")]
            // SAFETY: as in the forward pass, whose descriptor the hint is.
            unsafe {
                create(handle, engine, algorithm, x, gradient, bias, y, strides, dilates, before, after, hint, attr)
            }
        })
    }
}

impl<'a> Argument<'a> {
    fn read<T: Element>(arg: c_int, desc: &'a Desc, numbers: &'a [T]) -> Self {
        Self { arg, desc, memory: Memory::Read(bytemuck::cast_slice(numbers)) }
    }

    fn write<T: Element>(arg: c_int, desc: &'a Desc, numbers: &'a mut [T]) -> Self {
        Self { arg, desc, memory: Memory::Write(bytemuck::cast_slice_mut(numbers)) }
    }
}

/// How the window moves, a number for each axis.
struct Window([[i64; 2]; 4]);

impl Window {
    fn of(geometry: &Geometry) -> Self {
        let conv = &geometry.conv;
        let numbers = |pair: [usize; 2]| pair.map(|number| number as i64);
        let padding = conv.padding;
        Self([
            numbers(conv.stride),
            // The library counts the pixels that are left out.
            numbers(conv.dilation.map(|dilation| dilation - 1)),
            numbers([padding.top, padding.left]),
            numbers([padding.bottom, padding.right]),
        ])
    }

    fn pointers(&self) -> [*const i64; 4] {
        self.0.each_ref().map(|pair| pair.as_ptr())
    }
}

/// Whole lines of the cache.
fn lines(bytes: usize) -> usize {
    bytes.next_multiple_of(LINE)
}
