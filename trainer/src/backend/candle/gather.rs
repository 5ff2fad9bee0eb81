//! Rows of a tensor taken by an index that is the same for every image.

use candle_core::{Device, Result, Tensor};

/// Of which rows of its input each place of an output is made: a table of places and taps.
pub(super) struct Gather {
    index: Tensor,
    places: usize,
    taps: usize,
    /// Whether some taps have no row.
    has_gaps: bool,
}

/// Rows by place and tap; none where a tap is outside of the image.
pub(super) struct Table {
    pub(super) rows: Vec<Option<usize>>,
    pub(super) taps: usize,
}

impl Table {
    /// From as many rows for each place as there are.
    pub(super) fn ragged(places: &[Vec<usize>]) -> Self {
        let taps = places.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let padded = |rows: &Vec<usize>| (0..taps).map(|tap| rows.get(tap).copied()).collect::<Vec<_>>();
        Self { rows: places.iter().flat_map(padded).collect(), taps }
    }

    /// For each of so many rows the places in this table that have it, counted by place and tap.
    pub(super) fn inverted(&self, sources: usize) -> Self {
        let mut places = vec![vec![]; sources];
        for (at, row) in self.rows.iter().enumerate() {
            if let Some(row) = *row {
                places[row].push(at);
            }
        }
        Self::ragged(&places)
    }
}

impl Gather {
    /// From inputs of so many rows.
    pub(super) fn new(table: &Table, sources: usize, device: &Device) -> Result<Self> {
        let Table { rows, taps } = table;
        let index: Vec<u32> = rows.iter().map(|row| row.unwrap_or(sources) as u32).collect();
        Ok(Self {
            index: Tensor::from_slice(&index, index.len(), device)?,
            places: rows.len() / taps,
            taps: *taps,
            has_gaps: rows.contains(&None),
        })
    }

    /// Places and taps: how many rows come of an image.
    pub(super) fn length(&self) -> usize {
        self.places * self.taps
    }

    /// `[n, places, taps, c]` from `[n, rows, c]`, with a number for those that have no row.
    pub(super) fn take(&self, x: &Tensor, otherwise: f32) -> Result<Tensor> {
        let (n, _, channels) = x.dims3()?;
        let x = match self.has_gaps {
            true => Tensor::cat(&[x, &Tensor::full(otherwise, (n, 1, channels), x.device())?], 1)?,
            false => x.contiguous()?,
        };
        x.index_select(&self.index, 1)?.reshape((n, self.places, self.taps, channels))
    }

    /// The sum over the taps, `[n, places, c]`.
    pub(super) fn sum(&self, x: &Tensor) -> Result<Tensor> {
        let taken = self.take(x, 0.0)?;
        if self.taps == 1 { taken.squeeze(2) } else { taken.sum(2) }
    }
}
