use super::ImageFormat;

/// Whether the file holds all that it announces, as far as the decoder will not tell by itself.
///
/// The decoders of JPEG, PNG, GIF and BMP fail when the bytes run out before the pixels do. That
/// of WebP mistakes the end for corruption, or overlooks what comes after the pixels, the EXIF orientation among it.
pub(super) fn is_complete(format: ImageFormat, bytes: &[u8]) -> bool {
    match format {
        ImageFormat::WebP => riff_is_complete(bytes),
        ImageFormat::Bmp | ImageFormat::Gif | ImageFormat::Jpeg | ImageFormat::Png => true,
    }
}

/// A RIFF file begins with its length: little-endian, and of what follows it. libwebp, too, refuses a shorter one.
fn riff_is_complete(bytes: &[u8]) -> bool {
    let Some(&[a, b, c, d]) = bytes.get(4..8) else {
        return false;
    };
    let declared = u64::from(u32::from_le_bytes([a, b, c, d])) + 8;
    bytes.len() as u64 >= declared
}

#[cfg(test)]
mod tests {
    use super::riff_is_complete;

    #[test]
    fn a_riff_file_is_as_long_as_it_says() {
        assert!(riff_is_complete(b"RIFF\x06\0\0\0WEBPab"));
        assert!(riff_is_complete(b"RIFF\x06\0\0\0WEBPabcd"), "something after it");
        assert!(!riff_is_complete(b"RIFF\x06\0\0\0WEBPa"));
        assert!(!riff_is_complete(b"RIFF\xff\xff\xff\xffWEBP"));
        assert!(!riff_is_complete(b"RIFF\x06\0"));
    }
}
