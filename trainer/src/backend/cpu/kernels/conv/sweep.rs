//! Products of source pixels and weights, summed for each destination pixel: the forward pass, and, with the taps the
//! other way round, the gradient of the input.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::geometry::Channels;
use super::panels::{Panel, Panels};
use super::plan::{Band, NOWHERE, Plan, TILE, TapClass};
use crate::backend::cpu::kernels::simd::arch;

/// The initial value of each destination pixel's sum.
#[derive(Clone, Copy)]
pub(crate) enum SumStart<'a> {
    Zero,
    /// A number for each channel.
    Bias(&'a [f32]),
    /// The destination's present value.
    Existing,
}

/// One group of a convolution over all images that a plan is for.
pub(super) struct Sweep<'a> {
    pub(super) plan: &'a Plan,
    pub(super) panels: &'a Panels,
    pub(super) from: Channels,
    pub(super) to: Channels,
    pub(super) start: SumStart<'a>,
}

/// Bytes of source pixels that stay in the cache while a band goes through all panels.
const CACHE: usize = 128 << 10;

impl Sweep<'_> {
    /// Over some images of the plan's size: `[image, pixel, from.stride]` to `[image, pixel, to.stride]`.
    pub(super) fn run(&self, source: &[f32], destination: &mut [f32]) {
        let zeros = vec![0.0; self.from.count];
        let mut rest = destination;
        let mut jobs = Vec::with_capacity(self.plan.bands.len());
        for band in &self.plan.bands {
            let (pixels, behind) = rest.split_at_mut(band.pixels.len() * self.to.stride);
            jobs.push((band, pixels));
            rest = behind;
        }
        jobs.into_par_iter().for_each(|(band, destination)| {
            arch().dispatch(Job { sweep: self, band, source, destination, zeros: &zeros });
        });
    }
}

/// A band of one image, with what is read and written for it.
struct Job<'a> {
    sweep: &'a Sweep<'a>,
    band: &'a Band,
    source: &'a [f32],
    destination: &'a mut [f32],
    zeros: &'a [f32],
}

impl WithSimd for Job<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sweep, band, source, destination, zeros } = self;
        let Sweep { from, to, start, .. } = *sweep;
        let tiles_near = (CACHE / (size_of::<f32>() * from.stride * TILE)).max(1);
        for class in &band.classes {
            let taps = class.taps.len();
            for first in (0..class.tiles.len()).step_by(tiles_near) {
                for panel in sweep.panels.iter() {
                    for tile in first..(first + tiles_near).min(class.tiles.len()) {
                        let sources = &class.sources[tile * taps..][..taps];
                        let work = Tile { class, panel, sources, source, from, zeros };
                        let rows = class.tiles[tile].map(|pixel| pixel as usize * to.stride + to.first + panel.first);
                        let out = Out { destination, start, channel: to.first + panel.first, channels: panel.channels };
                        match (panel.width > S::F32_LANES, S::REGISTER_COUNT >= 32) {
                            (true, true) => tile_of::<S, TILE, 2>(simd, &work, &rows, out),
                            (false, true) => tile_of::<S, TILE, 1>(simd, &work, &rows, out),
                            (true, false) => tile_of::<S, { TILE / 2 }, 2>(simd, &work, &rows, out),
                            (false, false) => tile_of::<S, { TILE / 2 }, 1>(simd, &work, &rows, out),
                        }
                    }
                }
            }
        }
    }
}

/// The operands of a tile.
struct Tile<'a> {
    class: &'a TapClass,
    panel: Panel<'a>,
    sources: &'a [[u32; TILE]],
    source: &'a [f32],
    from: Channels,
    zeros: &'a [f32],
}

/// The destination of a tile.
struct Out<'a> {
    destination: &'a mut [f32],
    start: SumStart<'a>,
    /// The panel's first channel among all.
    channel: usize,
    channels: usize,
}

/// A tile in portions of `M` pixels and `V` registers of channels.
#[inline(always)]
fn tile_of<S: Simd, const M: usize, const V: usize>(simd: S, work: &Tile<'_>, rows: &[usize; TILE], out: Out<'_>) {
    let Out { destination, start, channel, channels } = out;
    let count = work.from.count;
    for portion in (0..TILE).step_by(M) {
        // The rest of the tile repeats a pixel that is done.
        if portion > 0 && rows[portion] == rows[portion - 1] {
            break;
        }
        let rows: [usize; M] = std::array::from_fn(|m| rows[portion + m]);
        let mut sums = [[simd.splat_f32s(0.0); V]; M];
        match start {
            SumStart::Zero => {}
            SumStart::Bias(bias) => {
                let bias = load::<S, V>(simd, &bias[channel..channel + channels]);
                sums = [bias; M];
            }
            SumStart::Existing => {
                sums = rows.map(|row| load::<S, V>(simd, &destination[row..row + channels]));
            }
        }
        let (weights, _) = S::as_simd_f32s(work.panel.weights);
        let (weights, _) = pulp::as_arrays::<V, _>(weights);
        for (&tap, pixels) in work.class.taps.iter().zip(work.sources) {
            // Equal lengths of all of them, so that the loop over the channels has no bounds to check.
            let pixels: [&[f32]; M] = std::array::from_fn(|m| match pixels[portion + m] {
                NOWHERE => &work.zeros[..count],
                pixel => &work.source[pixel as usize * work.from.stride + work.from.first..][..count],
            });
            let weights = &weights[tap * count..][..count];
            for k in 0..count {
                for m in 0..M {
                    let x = simd.splat_f32s(pixels[m][k]);
                    for v in 0..V {
                        sums[m][v] = simd.mul_add_f32s(x, weights[k][v], sums[m][v]);
                    }
                }
            }
        }
        for (row, sums) in rows.into_iter().zip(sums) {
            store::<S, V>(simd, &mut destination[row..row + channels], sums);
        }
    }
}

/// `V` registers from at most as many numbers as they hold; the rest of them is zero.
#[inline(always)]
pub(super) fn load<S: Simd, const V: usize>(simd: S, numbers: &[f32]) -> [S::f32s; V] {
    let lanes = S::F32_LANES;
    if numbers.len() == V * lanes {
        let (whole, _) = S::as_simd_f32s(numbers);
        return std::array::from_fn(|v| whole[v]);
    }
    std::array::from_fn(|v| {
        simd.partial_load_f32s(&numbers[(v * lanes).min(numbers.len())..((v + 1) * lanes).min(numbers.len())])
    })
}

/// As many numbers as there are to be written, of `V` registers.
#[inline(always)]
pub(super) fn store<S: Simd, const V: usize>(simd: S, numbers: &mut [f32], registers: [S::f32s; V]) {
    let lanes = S::F32_LANES;
    if numbers.len() == V * lanes {
        let (whole, _) = S::as_mut_simd_f32s(numbers);
        whole[..V].copy_from_slice(&registers);
        return;
    }
    for (numbers, register) in numbers.chunks_mut(lanes).zip(registers) {
        simd.partial_store_f32s(numbers, register);
    }
}
