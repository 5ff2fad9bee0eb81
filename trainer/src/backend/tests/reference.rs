//! Networks in f64, as plainly as can be written: channels first, a loop for every index.

use models::graph::NodeId;
use models::ops::{Activation, AdaptiveAvgPool, Op, Padding, Shape, Window};
use models::{Graph, Params};

/// How batch normalization and its gradient are to be taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) enum Statistics {
    Batch,
    Running,
}

/// The parameters of a graph by node.
pub(in crate::backend) type Numbers = Vec<Vec<Vec<f64>>>;

pub(super) fn numbers(graph: &Graph, params: &Params) -> Numbers {
    let tensor = |name: &String| params.get(name).unwrap().data().iter().map(|&x| f64::from(x)).collect();
    graph.nodes().iter().map(|node| node.params.iter().map(tensor).collect()).collect()
}

/// What a pass is over.
#[derive(Clone, Copy)]
pub(in crate::backend) struct ReferencePass {
    /// Images.
    pub(in crate::backend) n: usize,
    pub(in crate::backend) statistics: Statistics,
}

/// The output for an input of `n` images.
pub(in crate::backend) fn forward(graph: &Graph, params: &Numbers, input: &[f64], pass: ReferencePass) -> Vec<f64> {
    let ReferencePass { n, statistics } = pass;
    let mut values: Vec<Vec<f64>> = vec![];
    for (id, node) in graph.iter() {
        let inputs: Vec<&[f64]> = node.inputs.iter().map(|input| values[input.index()].as_slice()).collect();
        let shapes: Vec<&Shape> = node.inputs.iter().map(|&input| graph.shape(input)).collect();
        let value = if id == graph.input() {
            input.to_vec()
        } else {
            let site = ReferenceNode { graph, id, inputs, shapes, params: &params[id.index()], n, statistics };
            site.compute(&node.op)
        };
        values.push(value);
    }
    values.swap_remove(graph.output().index())
}

/// A number of a padded image.
#[derive(Clone, Copy)]
struct PaddedPixel {
    image: usize,
    channel: usize,
    y: usize,
    x: usize,
}

struct ReferenceNode<'a> {
    graph: &'a Graph,
    id: NodeId,
    inputs: Vec<&'a [f64]>,
    shapes: Vec<&'a Shape>,
    params: &'a [Vec<f64>],
    n: usize,
    statistics: Statistics,
}

impl ReferenceNode<'_> {
    fn compute(&self, op: &Op) -> Vec<f64> {
        let x = self.inputs[0];
        match op {
            Op::Input(_) | Op::Dropout(_) | Op::Flatten(_) | Op::Reshape(_) => x.to_vec(),
            Op::Normalize(op) => self.by_channel(|c, x| (x - f64::from(op.mean[c])) / f64::from(op.std[c])),
            Op::Scale(op) => {
                let weight = |c: usize| if op.weight { self.params[0][c] } else { 1.0 };
                let bias = |c: usize| if op.bias { self.params[usize::from(op.weight)][c] } else { 0.0 };
                self.by_channel(|c, x| x * weight(c) + bias(c))
            }
            Op::Add(_) => (0..x.len()).map(|at| self.inputs.iter().map(|x| x[at]).sum()).collect(),
            Op::Mul(_) => self.product(),
            Op::Conv2d(op) => {
                let (channels, out) = (op.in_channels / op.groups, op.out_channels / op.groups);
                self.image(|image, [to, row, column]| {
                    let mut sum = self.params.get(1).map_or(0.0, |bias| bias[to]);
                    for from in 0..channels {
                        for (down, right) in pairs(op.kernel) {
                            let y = row * op.stride[0] + down * op.dilation[0];
                            let x = column * op.stride[1] + right * op.dilation[1];
                            let Padding { top, left, .. } = op.padding;
                            let weight = ((to * channels + from) * op.kernel[0] + down) * op.kernel[1] + right;
                            let channel = to / out * channels + from;
                            sum += self.params[0][weight]
                                * self.at(PaddedPixel { image, channel, y, x }, [top, left]).unwrap_or(0.0);
                        }
                    }
                    sum
                })
            }
            Op::BatchNorm(op) => {
                let moments: Vec<(f64, f64)> = (0..op.channels).map(|c| self.moments(c)).collect();
                self.by_channel(|c, x| {
                    let (mean, variance) = moments[c];
                    self.params[0][c] * (x - mean) / (variance + f64::from(op.eps)).sqrt() + self.params[1][c]
                })
            }
            Op::LocalResponseNorm(op) => self.image(|image, [c, row, column]| {
                let neighbors = op.neighbors(c, self.shapes[0].dims()[0]);
                let at = |c: usize| self.at(PaddedPixel { image, channel: c, y: row, x: column }, [0, 0]).unwrap();
                let squares: f64 = neighbors.map(|c| at(c).powi(2)).sum();
                at(c) / (f64::from(op.bias) + f64::from(op.alpha) / op.size as f64 * squares).powf(f64::from(op.beta))
            }),
            Op::L2Norm(_) => x
                .chunks(x.len() / self.n)
                .flat_map(|row| {
                    let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
                    row.iter().map(move |x| x / length)
                })
                .collect(),
            Op::L2Length(_) => {
                x.chunks(x.len() / self.n).map(|row| row.iter().map(|x| x * x).sum::<f64>().sqrt()).collect()
            }
            Op::Relu(_) => x.iter().map(|x| x.max(0.0)).collect(),
            Op::Activation(op) => x.iter().map(|&x| activation(*op, x)).collect(),
            Op::Softmax(_) => x
                .chunks(x.len() / self.n)
                .flat_map(|row| {
                    let sum: f64 = row.iter().map(|x| x.exp()).sum();
                    row.iter().map(move |x| x.exp() / sum)
                })
                .collect(),
            Op::MaxPool(op) => self.windows(&op.0, |numbers, _| numbers.iter().copied().fold(f64::MIN, f64::max)),
            Op::AvgPool(op) => self.windows(&op.window, |numbers, area| {
                numbers.iter().sum::<f64>() / if op.count_padding { area } else { numbers.len() } as f64
            }),
            Op::AdaptiveAvgPool(op) => self.adaptive(op.output),
            Op::GlobalAvgPool(_) => self.adaptive([1, 1]),
            Op::Concat(_) => (0..self.n)
                .flat_map(|image| {
                    self.inputs.iter().flat_map(move |x| &x[image * x.len() / self.n..][..x.len() / self.n])
                })
                .copied()
                .collect(),
            Op::Transpose(op) => self.gather(
                |index| {
                    let mut from = vec![0; index.len()];
                    op.order.iter().zip(index).for_each(|(&axis, &at)| from[axis] = at);
                    Some(from)
                },
                0.0,
            ),
            Op::Slice(op) => self.gather(
                |index| {
                    let source = op.spans.iter().zip(index);
                    Some(source.map(|(span, &at)| span.start.wrapping_add_signed(span.step * at as isize)).collect())
                },
                0.0,
            ),
            Op::Pad(op) => self.gather(
                |index| {
                    let places = index.iter().zip(&op.before).zip(self.shapes[0].dims());
                    places.map(|((&at, &before), &size)| at.checked_sub(before).filter(|&at| at < size)).collect()
                },
                f64::from(op.value),
            ),
            Op::Linear(op) => x
                .chunks(op.in_features)
                .flat_map(|x| {
                    self.params[0].chunks(op.in_features).enumerate().map(move |(to, weight)| {
                        let bias = self.params.get(1).map_or(0.0, |bias| bias[to]);
                        bias + weight.iter().zip(x).map(|(w, x)| w * x).sum::<f64>()
                    })
                })
                .collect(),
        }
    }

    fn output(&self) -> &[usize] {
        self.graph.shape(self.id).dims()
    }

    /// Each number of the first input, with its channel.
    fn by_channel(&self, f: impl Fn(usize, f64) -> f64) -> Vec<f64> {
        let (channels, length) = (self.shapes[0].dims()[0], self.shapes[0].len());
        let channel = |at: usize| at % length / (length / channels);
        self.inputs[0].iter().enumerate().map(|(at, &x)| f(channel(at), x)).collect()
    }

    fn moments(&self, channel: usize) -> (f64, f64) {
        if self.statistics == Statistics::Running {
            return (self.params[2][channel], self.params[3][channel]);
        }
        let mut numbers = vec![];
        let (channels, length) = (self.shapes[0].dims()[0], self.shapes[0].len());
        for (at, &x) in self.inputs[0].iter().enumerate() {
            if at % length / (length / channels) == channel {
                numbers.push(x);
            }
        }
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        (mean, numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / numbers.len() as f64)
    }

    fn product(&self) -> Vec<f64> {
        let [first, second] = [0, 1].map(|input| self.shapes[input].len());
        let length = first.max(second);
        let channels = self.output()[0];
        let at = |input: usize, at: usize| {
            let own = self.shapes[input].len();
            let within = if own == length { at % length } else { at % length / (length / channels) };
            self.inputs[input][at / length * own + within]
        };
        (0..self.n * length).map(|index| at(0, index) * at(1, index)).collect()
    }

    /// The first input's number at a place of the padded image.
    fn at(&self, pixel: PaddedPixel, [top, left]: [usize; 2]) -> Option<f64> {
        let PaddedPixel { image, channel, y, x } = pixel;
        let [channels, height, width] = self.shapes[0].dims() else { panic!("an image") };
        let y = y.checked_sub(top).filter(|y| y < height)?;
        let x = x.checked_sub(left).filter(|x| x < width)?;
        Some(self.inputs[0][((image * channels + channel) * height + y) * width + x])
    }

    /// Each number of an output that is an image.
    fn image(&self, f: impl Fn(usize, [usize; 3]) -> f64) -> Vec<f64> {
        let &[channels, height, width] = self.output() else { panic!("an image") };
        let all = (0..self.n * channels * height * width).map(|at| {
            let place = [at / (height * width) % channels, at / width % height, at % width];
            f(at / (channels * height * width), place)
        });
        all.collect()
    }

    /// A function of each window's numbers, and of its area within the padded image.
    fn windows(&self, window: &Window, f: impl Fn(&[f64], usize) -> f64) -> Vec<f64> {
        let Padding { top, left, bottom, right } = window.padding;
        let [_, height, width] = self.shapes[0].dims() else { panic!("an image") };
        let padded = [height + top + bottom, width + left + right];
        self.image(|image, [channel, row, column]| {
            let (mut numbers, mut area) = (vec![], 0);
            for (down, right) in pairs(window.kernel) {
                let (y, x) = (row * window.stride[0] + down, column * window.stride[1] + right);
                area += usize::from(y < padded[0] && x < padded[1]);
                numbers.extend(self.at(PaddedPixel { image, channel, y, x }, [top, left]));
            }
            f(&numbers, area)
        })
    }

    fn adaptive(&self, count: [usize; 2]) -> Vec<f64> {
        let [_, height, width] = self.shapes[0].dims() else { panic!("an image") };
        self.image(|image, [channel, row, column]| {
            let mut numbers = vec![];
            for y in AdaptiveAvgPool::span(*height, count[0], row) {
                for x in AdaptiveAvgPool::span(*width, count[1], column) {
                    numbers.extend(self.at(PaddedPixel { image, channel, y, x }, [0, 0]));
                }
            }
            numbers.iter().sum::<f64>() / numbers.len() as f64
        })
    }

    /// For each place of the output the place of the input that is there, or another number.
    fn gather(&self, from: impl Fn(&[usize]) -> Option<Vec<usize>>, otherwise: f64) -> Vec<f64> {
        let (shape, length) = (self.shapes[0], self.output().iter().product::<usize>());
        let all = (0..self.n * length).map(|at| {
            let mut rest = at % length;
            let mut index: Vec<usize> = self.output().iter().rev().map(|dim| (rest % dim, rest /= dim).0).collect();
            index.reverse();
            let place = from(&index)?;
            let offset = place.iter().zip(shape.dims()).fold(0, |sum, (at, dim)| sum * dim + at);
            Some(self.inputs[0][at / length * shape.len() + offset])
        });
        all.map(|number| number.unwrap_or(otherwise)).collect()
    }
}

fn pairs([rows, columns]: [usize; 2]) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
}

fn activation(op: Activation, x: f64) -> f64 {
    match op {
        Activation::LeakyRelu { alpha } => {
            if x < 0.0 {
                f64::from(alpha) * x
            } else {
                x
            }
        }
        Activation::Clip { min, max } => x.max(f64::from(min)).min(f64::from(max)),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::HardSigmoid { alpha, beta } => (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0),
        Activation::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::Tanh => x.tanh(),
        Activation::Elu { alpha } => {
            if x < 0.0 {
                f64::from(alpha) * x.exp_m1()
            } else {
                x
            }
        }
        Activation::Abs => x.abs(),
        Activation::Sign => x.signum(),
        Activation::Sqrt => x.sqrt(),
        Activation::SignedSqrt => x.signum() * x.abs().sqrt(),
    }
}
