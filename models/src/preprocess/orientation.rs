//! Which way up a picture is, from its metadata, by PIL's rules (`Image.getexif`).

use image::metadata::Orientation;

/// The orientation that the application segments of a JPEG declare: EXIF's tag, or XMP's where EXIF has none.
/// Metadata that cannot be read is no reason to refuse a picture that can.
pub(super) fn of_segments<'a>(segments: impl Iterator<Item = &'a [u8]>) -> Orientation {
    let (mut exif, mut xmp) = (None, None);
    for segment in segments {
        if let Some(data) = segment.strip_prefix(b"Exif\0\0") {
            exif = exif.or_else(|| of_exif(data));
        } else if let Some(packet) = segment.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
            xmp = xmp.or_else(|| of_xmp(packet));
        }
    }
    exif.or(xmp).unwrap_or(Orientation::NoTransforms)
}

/// Tag 0x0112 of the first directory (EXIF 2.3, section 4.6), as a short or long number, signed or not. Values beyond 8
/// turn nothing, and PIL takes a byte for text.
pub(super) fn of_exif(data: &[u8]) -> Option<Orientation> {
    const TAG: u16 = 0x0112;
    const ENTRY: usize = 12;
    let tiff = Tiff::new(data)?;
    let directory = tiff.u32(4)? as usize;
    let entries = (0..usize::from(tiff.u16(directory)?)).map(|index| directory + 2 + index * ENTRY);
    for entry in entries {
        if tiff.u16(entry)? != TAG {
            continue;
        }
        let value = match tiff.u16(entry + 2)? {
            3 | 8 => u32::from(tiff.u16(entry + 8)?),
            4 | 9 => tiff.u32(entry + 8)?,
            _ => return None,
        };
        return Some(u8::try_from(value).ok().and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms));
    }
    None
}

/// `tiff:Orientation="6"` or `<tiff:Orientation>6`.
pub(super) fn of_xmp(packet: &[u8]) -> Option<Orientation> {
    const NAME: &[u8] = b"tiff:Orientation";
    let mut rest = packet;
    while let Some(at) = rest.windows(NAME.len()).position(|window| window == NAME) {
        rest = &rest[at + NAME.len()..];
        let value = rest.strip_prefix(b"=\"").or(rest.strip_prefix(b">"));
        if let Some(&digit @ b'0'..=b'9') = value.and_then(<[u8]>::first) {
            return Some(Orientation::from_exif(digit - b'0').unwrap_or(Orientation::NoTransforms));
        }
    }
    None
}

/// A TIFF structure in its own byte order.
struct Tiff<'a> {
    data: &'a [u8],
    big_endian: bool,
}

impl<'a> Tiff<'a> {
    fn new(data: &'a [u8]) -> Option<Self> {
        let big_endian = match data.get(..4)? {
            b"II*\0" => false,
            b"MM\0*" => true,
            _ => return None,
        };
        Some(Self { data, big_endian })
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.data.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = self.data.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One entry: tag, type, count, value in four bytes.
    fn exif(kind: u16, value: [u8; 4]) -> Vec<u8> {
        let head: &[u8] = b"II*\0\x08\0\0\0\x01\0\x12\x01";
        [head, &kind.to_le_bytes(), &1_u32.to_le_bytes(), &value, &[0; 4]].concat()
    }

    #[test]
    fn exif_may_have_any_number_but_a_byte() {
        for kind in [3, 4, 8, 9] {
            assert_eq!(of_exif(&exif(kind, [6, 0, 0, 0])), Some(Orientation::Rotate90), "type {kind}");
        }
        assert_eq!(of_exif(&exif(3, [9, 0, 0, 0])), Some(Orientation::NoTransforms), "beyond 8");
        assert_eq!(of_exif(&exif(1, [6, 0, 0, 0])), None, "a byte");
        assert_eq!(of_exif(&exif(2, [6, 0, 0, 0])), None, "text");
        assert_eq!(of_exif(&exif(3, [6, 0, 0, 0])[..12]), None, "cut off");
        assert_eq!(of_exif(b"II*\0\xff\xff\xff\xff"), None, "a directory that is not there");
    }

    #[test]
    fn xmp_counts_where_exif_is_silent() {
        let xmp: &[u8] = b"http://ns.adobe.com/xap/1.0/\0<rdf tiff:Orientation=\"8\"/>";
        let element: &[u8] = b"http://ns.adobe.com/xap/1.0/\0<tiff:Orientation>3</tiff:Orientation>";
        let exif = [b"Exif\0\0", &exif(3, [6, 0, 0, 0])[..]].concat();
        assert_eq!(of_segments([xmp].into_iter()), Orientation::Rotate270);
        assert_eq!(of_segments([element].into_iter()), Orientation::Rotate180);
        assert_eq!(of_segments([xmp, &exif].into_iter()), Orientation::Rotate90);
        assert_eq!(of_segments([&b"Exif\0\0garbage"[..], xmp].into_iter()), Orientation::Rotate270);
        assert_eq!(of_segments(std::iter::empty()), Orientation::NoTransforms);
    }
}
