//! Numbers that Python scripts compute too, so that no file has to hold them.

use std::io;

use bytes::Bytes;

/// `count` numbers in `low..high`: the upper 24 bits of a hash of position and seed (splitmix64's finalizer).
/// `tests/reference/generated.py` computes the same.
#[must_use]
pub fn generated(count: usize, (low, high): (f64, f64), seed: u64) -> Vec<f32> {
    let hash = |index: u64| {
        let mut z = index.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed.wrapping_mul(0xD1B5_4A32_D192_ED03));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let number = |index| (low + (hash(index) >> 40) as f64 / f64::from(1 << 24) * (high - low)) as f32;
    (1..=count as u64).map(number).collect()
}

/// The content of a model's second file, whose name describes it: `LOW HIGH SEED COUNT`, little-endian `f32`.
///
/// # Errors
/// For any other name.
pub fn external(location: &str) -> io::Result<Bytes> {
    let wrong = || io::Error::other(format!("`{location}` is not `LOW HIGH SEED COUNT`"));
    let words: Vec<&str> = location.split(' ').collect();
    let [low, high, seed, count] = words[..] else { return Err(wrong()) };
    let bounds = (low.parse().map_err(|_| wrong())?, high.parse().map_err(|_| wrong())?);
    let (seed, count) = (seed.parse().map_err(|_| wrong())?, count.parse().map_err(|_| wrong())?);
    let bytes: Vec<u8> = generated(count, bounds, seed).into_iter().flat_map(f32::to_le_bytes).collect();
    Ok(bytes.into())
}
