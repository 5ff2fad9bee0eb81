//! Weights in the order in which a sweep reads them.

use super::geometry::Channels;

/// Weights `[tap, from, to]`, cut into panels of as many columns `to` as fit two vector registers; the last may be of one
/// register, and has zeros behind its last column.
pub(super) struct Panels {
    data: Vec<f32>,
    taps: usize,
    from: usize,
    to: usize,
    lanes: usize,
}

/// A part of the destination's channels.
#[derive(Clone, Copy)]
pub(super) struct Panel<'p> {
    /// `[tap, from, width]`.
    pub(super) weights: &'p [f32],
    /// Its first channel.
    pub(super) first: usize,
    /// Columns with zeros: one or two registers.
    pub(super) width: usize,
    /// Columns without.
    pub(super) channels: usize,
}

impl Panels {
    /// Zeros.
    fn new([taps, from, to]: [usize; 3], lanes: usize) -> Self {
        let columns = to.next_multiple_of(lanes);
        Self { data: vec![0.0; taps * from * columns], taps, from, to, lanes }
    }

    /// Of weights `[tap, from, to.stride]` the columns of these channels.
    pub(super) fn of_rows(weights: &[f32], [taps, from]: [usize; 2], to: Channels, lanes: usize) -> Self {
        let mut panels = Self::new([taps, from, to.count], lanes);
        panels.fill(|tap, row, columns, out| {
            let start = (tap * from + row) * to.stride + to.first;
            out.copy_from_slice(&weights[start + columns.start..start + columns.end]);
            debug_assert!(tap < taps);
        });
        panels
    }

    /// Of the transposed: of weights `[tap, to, from.stride]` the columns of these channels become rows.
    pub(super) fn of_columns(weights: &[f32], [taps, to]: [usize; 2], from: Channels, lanes: usize) -> Self {
        let mut panels = Self::new([taps, from.count, to], lanes);
        panels.fill(|tap, row, columns, out| {
            for (column, out) in columns.zip(out) {
                *out = weights[(tap * to + column) * from.stride + from.first + row];
            }
        });
        panels
    }

    fn fill(&mut self, row_of: impl Fn(usize, usize, std::ops::Range<usize>, &mut [f32])) {
        let (from, to) = (self.from, self.to);
        let mut rest = self.data.as_mut_slice();
        for (first, width, channels) in layout(to, self.lanes) {
            let (panel, behind) = rest.split_at_mut(self.taps * from * width);
            for (index, row) in panel.chunks_exact_mut(width).enumerate() {
                row_of(index / from, index % from, first..first + channels, &mut row[..channels]);
            }
            rest = behind;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Panel<'_>> {
        let mut rest = self.data.as_slice();
        layout(self.to, self.lanes).map(move |(first, width, channels)| {
            let (weights, behind) = rest.split_at(self.taps * self.from * width);
            rest = behind;
            Panel { weights, first, width, channels }
        })
    }
}

/// First channel, width and channels of each panel.
fn layout(to: usize, lanes: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..to).step_by(2 * lanes).map(move |first| {
        let channels = (to - first).min(2 * lanes);
        (first, channels.next_multiple_of(lanes), channels)
    })
}
