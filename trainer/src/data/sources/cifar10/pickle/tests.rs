//! Pickles of the data set, damaged ones and foreign ones.

use super::*;

#[test]
fn a_call_of_anything_but_numpy_is_refused_and_named() {
    let bytes = include_bytes!("../../../../../tests/data/datasets/command.pickle").to_vec();
    let Err(refused) = read(bytes) else { panic!("it was read") };
    assert!(refused.contains("names `posix.system`"), "{refused}");
}

#[test]
fn no_cut_and_no_changed_byte_makes_it_panic() {
    let whole = include_bytes!("../../../../../tests/data/datasets/cifar10_batch.pickle").to_vec();
    assert!(read(whole.clone()).is_ok());
    let instructions = whole.len() - 4 * CIFAR_BYTES;
    for at in (0..instructions).chain(whole.len() - 120..whole.len()) {
        assert!(read(whole[..at].to_vec()).is_err(), "cut at {at}");
        for byte in [0, b'(', b'.', b'0', b'b', b'e', b'h', b'u', 0x86, 0x93, 0xff] {
            let mut changed = whole.clone();
            changed[at] = byte;
            drop(read(changed));
        }
    }
}

#[test]
fn names_are_texts_of_any_protocol() {
    let python_2 = include_bytes!("../../../../../tests/data/datasets/cifar10_meta.pickle");
    assert_eq!(names(python_2).unwrap()[8..], ["ship", "truck"]);
    // pickle.dumps({"label_names": ["a", "b"]}, protocol=4) in Python 3.
    let python_3 = b"\x80\x04\x95\x1f\0\0\0\0\0\0\0}\x94\x8c\x0blabel_names\x94]\x94(\x8c\x01a\x94\x8c\x01b\x94es.";
    assert_eq!(names(python_3).unwrap(), ["a", "b"]);
}
