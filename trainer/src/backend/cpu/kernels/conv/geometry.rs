//! Which pixels of a convolution's input and output meet.

use models::ops::Conv2d;

/// A convolution of images of one size. Images are `[n, h, w, c]`: all channels of a pixel lie together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) conv: Conv2d,
    /// Height and width of the input.
    pub(crate) input: [usize; 2],
    /// Height and width of the output.
    pub(crate) output: [usize; 2],
}

/// Where the channels of one group are among those of a pixel.
#[derive(Clone, Copy)]
pub(super) struct Channels {
    pub(super) first: usize,
    pub(super) count: usize,
    /// All channels of a pixel.
    pub(super) stride: usize,
}

/// For each coordinate along an axis of the destination, the source coordinate that each tap meets.
pub(crate) struct Axis {
    pub(crate) taps: usize,
    sources: Vec<Option<usize>>,
    /// Destination coordinates that are so far apart meet the same taps, but for the edges.
    pub(super) period: usize,
}

impl Axis {
    pub(crate) fn len(&self) -> usize {
        self.sources.len() / self.taps
    }

    pub(crate) fn source(&self, destination: usize, tap: usize) -> Option<usize> {
        self.sources[destination * self.taps + tap]
    }

    /// The taps that any coordinate of a residue class meets.
    pub(super) fn taps_of(&self, residue: usize) -> Vec<usize> {
        let class = || (residue..self.len()).step_by(self.period);
        (0..self.taps).filter(|&tap| class().any(|at| self.source(at, tap).is_some())).collect()
    }
}

impl Geometry {
    /// Input channels of a group.
    pub(crate) fn group_in(&self) -> usize {
        self.conv.in_channels / self.conv.groups
    }

    /// Output channels of a group.
    pub(crate) fn group_out(&self) -> usize {
        self.conv.out_channels / self.conv.groups
    }

    /// Numbers of an input image.
    pub(crate) fn inputs(&self) -> usize {
        self.input[0] * self.input[1] * self.conv.in_channels
    }

    /// Numbers of an output image.
    pub(crate) fn outputs(&self) -> usize {
        self.output[0] * self.output[1] * self.conv.out_channels
    }

    /// Taps of the window.
    pub(crate) fn taps(&self) -> usize {
        self.conv.kernel[0] * self.conv.kernel[1]
    }

    /// From the output's pixels to the input's.
    pub(crate) fn forward(&self) -> [Axis; 2] {
        [0, 1].map(|axis| {
            let at = |out: usize, tap: usize| (self.step(out, tap, axis)).filter(|&at| at < self.input[axis]);
            let sources = pairs(self.output[axis], self.conv.kernel[axis]).map(|(out, tap)| at(out, tap)).collect();
            Axis { taps: self.conv.kernel[axis], sources, period: 1 }
        })
    }

    /// From the input's pixels to the output's: which of them has taken this pixel by which tap.
    pub(crate) fn adjoint(&self) -> [Axis; 2] {
        [0, 1].map(|axis| {
            let kernel = self.conv.kernel[axis];
            let mut sources = vec![None; self.input[axis] * kernel];
            for (out, tap) in pairs(self.output[axis], kernel) {
                if let Some(at) = self.step(out, tap, axis).filter(|&at| at < self.input[axis]) {
                    sources[at * kernel + tap] = Some(out);
                }
            }
            Axis { taps: kernel, sources, period: self.conv.stride[axis] }
        })
    }

    /// Where in the input the tap of an output pixel is; `None` before the first pixel.
    fn step(&self, out: usize, tap: usize, axis: usize) -> Option<usize> {
        let padding = [self.conv.padding.top, self.conv.padding.left][axis];
        (out * self.conv.stride[axis] + tap * self.conv.dilation[axis]).checked_sub(padding)
    }
}

impl Channels {
    pub(super) fn of_group(self, group: usize) -> Self {
        Self { first: group * self.count, ..self }
    }
}

fn pairs(outer: usize, inner: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..outer).flat_map(move |outer| (0..inner).map(move |inner| (outer, inner)))
}
