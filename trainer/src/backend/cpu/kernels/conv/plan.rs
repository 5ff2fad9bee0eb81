//! The order in which a convolution goes over its destination's pixels, made once for a size of images.

use std::ops::Range;

use super::geometry::Axis;

/// Pixels that are computed together, in registers.
pub(super) const TILE: usize = 12;
/// Instead of a source pixel, where a tap is in the padding.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Pixels of a job, beyond which an image is divided.
const BAND: usize = 1024;

/// Some images, divided into bands that may be computed at the same time.
pub(super) struct Plan {
    /// How many images it is for.
    pub(super) images: usize,
    pub(super) bands: Vec<Band>,
}

/// Destination pixels that lie together in memory.
pub(super) struct Band {
    pub(super) pixels: Range<usize>,
    pub(super) classes: Vec<TapClass>,
}

/// Pixels that meet the same taps.
pub(super) struct TapClass {
    /// The taps, as rows of the weights.
    pub(super) taps: Vec<usize>,
    /// The destination pixels of each tile, counted from the band's first. A tile that is not full repeats its last.
    pub(super) tiles: Vec<[u32; TILE]>,
    /// For each tile and each tap in `taps`, the source pixels, counted from the first image's first.
    pub(super) sources: Vec<[u32; TILE]>,
}

impl Plan {
    /// How many images to plan for together. Small ones are joined, since a tile that is not full costs as much as a full
    /// one, but only as far as there is work for all threads.
    pub(super) fn joined([rows, columns]: &[Axis; 2], batch: usize, threads: usize) -> usize {
        let pixels = rows.len() * columns.len();
        (batch / threads).clamp(1, BAND.div_ceil(pixels.max(1)))
    }

    pub(super) fn new([rows, columns]: &[Axis; 2], source: [usize; 2], images: usize) -> Self {
        let pixels = rows.len() * columns.len();
        // Whole periods of rows, so that every band has pixels of all classes.
        let height = (BAND / columns.len().max(1)).next_multiple_of(rows.period).max(rows.period);
        let bands: Vec<Range<usize>> = if images > 1 || height >= rows.len() {
            std::iter::once(0..rows.len()).collect()
        } else {
            (0..rows.len()).step_by(height).map(|row| row..(row + height).min(rows.len())).collect()
        };
        let band = |band: Range<usize>| {
            let first = band.start * columns.len();
            let classes = (0..rows.period).flat_map(|row| (0..columns.period).map(move |column| [row, column]));
            let class = |residue| TapClass::new(&PlannedImages { rows, columns, source, images }, residue, &band);
            let classes = classes.map(class).filter(|class| !class.tiles.is_empty()).collect();
            Band { pixels: first..(images - 1) * pixels + band.end * columns.len(), classes }
        };
        Self { images, bands: bands.into_iter().map(band).collect() }
    }
}

/// What a plan is made for.
struct PlannedImages<'a> {
    rows: &'a Axis,
    columns: &'a Axis,
    /// Height and width of a source image.
    source: [usize; 2],
    images: usize,
}

impl TapClass {
    /// Of the pixels whose row and column leave this remainder when divided by the axes' periods, in a band of rows.
    fn new(planned: &PlannedImages<'_>, residue: [usize; 2], band: &Range<usize>) -> Self {
        let PlannedImages { rows, columns, source, images } = *planned;
        let pixels = rows.len() * columns.len();
        let [row_taps, column_taps] = [(rows, residue[0]), (columns, residue[1])].map(|(axis, at)| axis.taps_of(at));
        let taps: Vec<[usize; 2]> = row_taps.iter().flat_map(|&y| column_taps.iter().map(move |&x| [y, x])).collect();
        let first = band.start * columns.len();
        let mut members = Vec::new();
        for image in 0..images {
            for row in band.clone().filter(|row| row % rows.period == residue[0]) {
                for column in (residue[1]..columns.len()).step_by(columns.period) {
                    members.push((image, row, column));
                }
            }
        }
        let (mut tiles, mut sources) = (Vec::new(), Vec::new());
        for tile in members.chunks(TILE) {
            let member = |index: usize| tile[index.min(tile.len() - 1)];
            tiles.push(std::array::from_fn(|index| {
                let (image, row, column) = member(index);
                (image * pixels + row * columns.len() + column - first) as u32
            }));
            for &[tap_row, tap_column] in &taps {
                sources.push(std::array::from_fn(|index| {
                    let (image, row, column) = member(index);
                    match (rows.source(row, tap_row), columns.source(column, tap_column)) {
                        (Some(y), Some(x)) => ((image * source[0] + y) * source[1] + x) as u32,
                        _ => NOWHERE,
                    }
                }));
            }
        }
        let taps = taps.iter().map(|[row, column]| row * columns.taps + column).collect();
        Self { taps, tiles, sources }
    }
}
