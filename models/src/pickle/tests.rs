//! Pickles written by hand: the values that the machine builds, and what it refuses.

use super::*;
use crate::budget::Budget;

/// Loads a pickle and returns what `look` reads from its value.
fn with<T>(pickle: &[u8], look: impl FnOnce(&Heap<'_>, Value<'_>) -> T) -> Result<T, PickleError> {
    let mut heap = Heap::default();
    let value = load(&mut ByteReader::new(pickle), &mut heap, &mut Budget::new(pickle.len()))?;
    Ok(look(&heap, value))
}

/// The value of a pickle that is no object.
fn constant(pickle: &'static [u8]) -> Value<'static> {
    let mut heap = Heap::default();
    load(&mut ByteReader::new(pickle), &mut heap, &mut Budget::new(pickle.len())).unwrap()
}

fn error(pickle: &[u8]) -> PickleError {
    with(pickle, |_, value| format!("{value:?}")).unwrap_err()
}

#[test]
fn constants_of_all_protocols() {
    for (pickle, value) in [
        (&b"\x80\x02N."[..], Value::None),
        (b"\x80\x02\x88.", Value::Bool(true)),
        (b"\x80\x05\x95\x02\x00\x00\x00\x00\x00\x00\x00K\xff.", Value::Int(255)),
        (b"\x80\x02M\xff\xff.", Value::Int(65535)),
        (b"\x80\x02J\xfe\xff\xff\xff.", Value::Int(-2)),
        (b"\x80\x02\x8a\x00.", Value::Int(0)),
        (b"\x80\x02\x8a\x02\x00\x80.", Value::Int(-32768)),
        (b"\x80\x02\x8b\x02\x00\x00\x00\x00\x01.", Value::Int(256)),
        (
            b"\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.",
            Value::Long(b"\x00\x00\x00\x00\x00\x00\x00\x00\x01"),
        ),
        (b"\x80\x02G\x3f\xf8\x00\x00\x00\x00\x00\x00.", Value::Float(1.5)),
        (b"\x80\x02X\x02\x00\x00\x00\xc3\xa4.", Value::Text("ä")),
        (b"\x80\x04\x8c\x01a.", Value::Text("a")),
        (b"\x80\x04\x8d\x01\x00\x00\x00\x00\x00\x00\x00a.", Value::Text("a")),
        (b"\x80\x02U\x01\xff.", Value::Bytes(b"\xff")),
        (b"\x80\x05\x96\x01\x00\x00\x00\x00\x00\x00\x00a.", Value::Bytes(b"a")),
        (b"\x80\x02K\x01K\x022N0.", Value::Int(2)),
        (b"\x80\x02K\x07q\x05(K\x01K\x021h\x05.", Value::Int(7)),
        (b"\x80\x02K\x07r\xff\xff\xff\xff0j\xff\xff\xff\xff.", Value::Int(7)),
        (b"\x80\x04K\x07\x94K\x08\x940h\x00.", Value::Int(7)),
    ] {
        assert_eq!(constant(pickle), value, "{pickle:?}");
    }
}

#[test]
fn containers_hold_what_is_put_in() {
    let items = |pickle: &[u8]| with(pickle, |heap, value| heap.items(value).map(<[_]>::len)).unwrap();
    assert_eq!(items(b"\x80\x02)."), Some(0));
    assert_eq!(items(b"\x80\x02K\x01K\x02K\x03\x87."), Some(3));
    assert_eq!(items(b"\x80\x02(K\x01K\x02t."), Some(2));
    assert_eq!(items(b"\x80\x02](K\x01K\x02eK\x03a."), Some(3));
    let pairs = |pickle: &[u8]| with(pickle, |heap, value| heap.pairs(value).map(<[_]>::len)).unwrap();
    assert_eq!(pairs(b"\x80\x02}(K\x01K\x02K\x03K\x04uK\x05K\x06s."), Some(3));
    assert_eq!(pairs(b"\x80\x02(K\x01K\x02d."), Some(1));
    assert_eq!(pairs(b"\x80\x02ccollections\nOrderedDict\n)R."), Some(0));
    assert_eq!(pairs(b"\x80\x04\x8c\x0bcollections\x8c\x0bOrderedDict\x93)\x81."), Some(0));
    assert_eq!(pairs(b"\x80\x02ccollections\nOrderedDict\n](](K\x01K\x02ee\x85R."), Some(1));
    // A list in itself.
    assert_eq!(items(b"\x80\x02]q\x00h\x00a."), Some(1));
}

#[test]
fn whatever_else_is_called_is_opaque() {
    let opaque = |pickle: &[u8]| {
        let path = |heap: &Heap<'_>, value: Value<'_>| match heap.object(value) {
            Some(Object::Opaque(path)) => path.to_string(),
            other => panic!("{other:?}"),
        };
        with(pickle, path).unwrap()
    };
    assert_eq!(opaque(b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00ls\x85R."), "posix.system");
    // Calling what a call gave, building it, filling it.
    assert_eq!(opaque(b"\x80\x02cbuiltins\ngetattr\n)R)R}b(K\x01K\x02uK\x03a."), "builtins.getattr");
    assert_eq!(opaque(b"\x80\x04cm\nC\n)}\x92."), "m.C");
    assert_eq!(opaque(b"\x80\x02\x82\x07)R."), "copyreg.extension");
    assert_eq!(opaque(b"\x80\x04\x8f(K\x01\x90."), "set");
    assert_eq!(opaque(b"\x80\x04(K\x01\x91."), "frozenset");
}

#[test]
fn what_is_no_pickle_is_an_error() {
    assert_eq!(error(b"\x80\x02"), PickleError::Truncated { at: 2 });
    assert_eq!(error(b"\x80\x02X\xff\xff\xff\xffa."), PickleError::Truncated { at: 9 });
    assert_eq!(error(b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffa."), PickleError::Truncated { at: 13 });
    assert_eq!(error(b"\x80\x06N."), PickleError::Protocol(6));
    assert_eq!(error(b"I1\n."), PickleError::Opcode { opcode: b'I', at: 0 });
    for pickle in [
        &b"."[..],
        b"0.",
        b"N(00.",
        b"K\x01(\x85.",
        b"h\x00.",
        b"K\x01K\x02a.",
        b"}(K\x01u.",
        b"](K\x01u.",
        b"K\x01)R.",
        b"NQ.",
        b"e.",
        b"\x94.",
        b"K\x01K\x02\x93.",
    ] {
        assert!(matches!(error(pickle), PickleError::Operands { .. }), "{pickle:?}");
    }
    assert!(matches!(error(b"ctorch._utils\n_rebuild_tensor_v2\n)R."), PickleError::Arguments { .. }));
    assert!(matches!(error(b"ccollections\nOrderedDict\nK\x01R."), PickleError::Arguments { .. }));
}

#[test]
fn a_small_pickle_cannot_make_much() {
    // A list of a thousand pairs, named again and again, each time for a new dictionary.
    let mut bomb = b"\x80\x02]q\x00(".to_vec();
    (0..1000).for_each(|_| bomb.extend(b"NN\x86"));
    bomb.extend(b"e0ccollections\nOrderedDict\nq\x01");
    (0..10_000).for_each(|_| bomb.extend(b"h\x01h\x00\x85R0"));
    bomb.push(b'.');
    assert!(matches!(error(&bomb), PickleError::TooLarge(_)));
    // Nothing but values.
    let values = vec![b']'; 1 << 21];
    assert!(matches!(error(&values), PickleError::TooLarge(_)));
    // Lists in lists, a hundred thousand deep, which are freed one by one.
    let mut deep = b"\x80\x02".to_vec();
    (0..100_000).for_each(|_| deep.push(b']'));
    (0..99_999).for_each(|_| deep.push(b'a'));
    deep.push(b'.');
    assert_eq!(with(&deep, |heap, value| heap.items(value).map(<[_]>::len)), Ok(Some(1)));
}
