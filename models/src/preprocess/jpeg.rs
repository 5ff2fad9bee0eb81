//! Tells a JPEG that was cut off, which its decoder does not.
//!
//! The decoder is lenient: it fills what is missing with grey and reports success, so a half-uploaded photograph would
//! be classified as half a photograph. PIL, with which most networks were trained, refuses such a file, and so do we.

const FILL: u8 = 0xff;
const STUFFED_ZERO: u8 = 0x00;
const TEMPORARY: u8 = 0x01;
const RESTART_0: u8 = 0xd0;
const RESTART_7: u8 = 0xd7;
const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;

/// Whether the image's end marker is there (ITU-T T.81, B.1).
///
/// Segments are skipped by their lengths, so the end marker of a thumbnail inside one does not count, and inside the
/// compressed data a marker is told from data by the stuffed zero. What follows the end (a second picture, a video) is
/// nobody's business.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((marker, after)) = next_marker(rest) {
        rest = match marker {
            END_OF_IMAGE => return true,
            START_OF_IMAGE | TEMPORARY | RESTART_0..=RESTART_7 | STUFFED_ZERO => after,
            // A scan's header has a length, too; the compressed data behind it holds no markers but those above.
            _ => match after_segment(after) {
                Some(after) => after,
                None => return false,
            },
        };
    }
    false
}

/// The code of the next marker, and what comes after it.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let start = bytes.iter().position(|&byte| byte == FILL)?;
    let code = start + bytes[start..].iter().position(|&byte| byte != FILL)?;
    Some((bytes[code], &bytes[code + 1..]))
}

/// Skips a segment: two bytes of length, which count themselves, big-endian.
fn after_segment(bytes: &[u8]) -> Option<&[u8]> {
    let length = u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]);
    bytes.get(usize::from(length).max(2)..)
}

#[cfg(test)]
mod tests {
    use super::is_complete;

    const START: &[u8] = &[0xff, 0xd8];
    const SCAN: &[u8] = &[0xff, 0xda, 0, 3, 7];
    const END: &[u8] = &[0xff, 0xd9];

    #[test]
    fn the_end_is_a_marker_outside_of_segments() {
        let thumbnail = [&[0xff, 0xe1, 0, 6], START, END].concat();
        let table = [0xff, 0xc4, 0, 4, 0xff, 0xd9];
        let cases: &[(&str, Vec<u8>, bool)] = &[
            ("whole", [START, SCAN, &[1, 2, 3], END].concat(), true),
            ("whole, then a second picture cut off", [START, SCAN, &[1], END, START, SCAN].concat(), true),
            ("no end", [START, SCAN, &[1, 2, 3]].concat(), false),
            ("half an end", [START, SCAN, &[1, 2, 3, 0xff]].concat(), false),
            ("the thumbnail's end only", [START, &thumbnail, SCAN, &[1, 2, 3]].concat(), false),
            ("the thumbnail's end and its own", [START, &thumbnail, SCAN, &[1, 2, 3], END].concat(), true),
            ("a stuffed zero before d9", [START, SCAN, &[0xff, 0, 0xd9]].concat(), false),
            ("restart markers", [START, SCAN, &[1, 0xff, 0xd0, 2, 0xff, 0xd7], END].concat(), true),
            ("fill bytes before the end", [START, SCAN, &[1, 0xff, 0xff], END].concat(), true),
            ("a table between two scans", [START, SCAN, &[1], &table, SCAN, &[2]].concat(), false),
            ("a segment that reaches past the end", [START, &[0xff, 0xe1, 0xff, 0xff], SCAN, END].concat(), false),
            ("a segment shorter than its length field", [START, &[0xff, 0xe1, 0, 0], SCAN, END].concat(), true),
            ("start only", START.to_vec(), false),
        ];
        let wrong: Vec<_> =
            cases.iter().filter(|(_, bytes, whole)| is_complete(bytes) != *whole).map(|c| c.0).collect();
        assert!(wrong.is_empty(), "wrong: {wrong:?}");
    }
}
