//! The checksum of `TFRecord` files.

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4), rotated and shifted as TensorFlow does, so that a checksum of data
/// that has checksums in it is still one.
pub(super) fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| (crc >> 8) ^ TABLE[((crc ^ u32::from(byte)) & 0xff) as usize])
}

/// What a byte does to the remainder; the polynomial is 0x1edc6f41, bits reversed.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut remainder, mut bit) = (byte as u32, 0);
        while bit < 8 {
            remainder = if remainder & 1 == 1 { (remainder >> 1) ^ 0x82f6_3b78 } else { remainder >> 1 };
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_examples_of_rfc_3720() {
        // Appendix B.4; the checksums are printed there in the order of their bytes.
        let ascending: Vec<u8> = (0..32).collect();
        let descending: Vec<u8> = (0..32).rev().collect();
        let examples = [([0; 32].to_vec(), 0x8a91_36aa), ([0xff; 32].to_vec(), 0x62a8_ab43)];
        for (bytes, expected) in examples.into_iter().chain([(ascending, 0x46dd_794e), (descending, 0x113f_db5c)]) {
            assert_eq!(crc32c(&bytes), expected, "{bytes:?}");
        }
        assert_eq!(crc32c(b""), 0);
    }
}
