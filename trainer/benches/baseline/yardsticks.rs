//! Fixed work for a processor, which no change of graft's changes.

use std::hint::black_box;

use anyhow::Result;

/// Which work.
#[derive(Clone, Copy)]
pub(crate) enum Yardstick {
    /// A product of matrices by three plain loops, which compilers vectorize for the oldest processors of the kind.
    Product,
    /// A hash of bytes, one after another: what decoders do is of this kind.
    Hash,
}

/// Rows and columns of the matrices: three of them fit into the cache of a core.
const SIDE: usize = 160;

/// Bytes that are hashed.
const BYTES: usize = 2 << 20;

pub(crate) struct Yardsticks {
    a: Vec<f32>,
    b: Vec<f32>,
    product: Vec<f32>,
    bytes: Vec<u8>,
}

impl Yardsticks {
    pub(crate) fn new() -> Self {
        let numbers = |step: usize| (0..SIDE * SIDE).map(|at| ((at * step) % 1009) as f32 / 504.5 - 1.0).collect();
        Self {
            a: numbers(7919),
            b: numbers(104_729),
            product: vec![0.0; SIDE * SIDE],
            bytes: (0..BYTES).map(|at| (at * 7919 % 251) as u8).collect(),
        }
    }

    pub(crate) fn run(&mut self, yardstick: Yardstick) -> Result<()> {
        match yardstick {
            Yardstick::Product => self.multiply(),
            Yardstick::Hash => {
                black_box(self.hash());
            }
        }
        Ok(())
    }

    fn multiply(&mut self) {
        for (a, out) in black_box(&self.a).chunks_exact(SIDE).zip(self.product.chunks_exact_mut(SIDE)) {
            out.fill(0.0);
            for (x, b) in a.iter().zip(self.b.chunks_exact(SIDE)) {
                for (out, b) in out.iter_mut().zip(b) {
                    *out += x * b;
                }
            }
        }
        black_box(&mut self.product);
    }

    /// FNV-1a.
    fn hash(&self) -> u64 {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        black_box(&self.bytes).iter().fold(0xcbf2_9ce4_8422_2325, step)
    }
}
