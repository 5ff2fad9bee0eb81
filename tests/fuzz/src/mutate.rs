//! Changes to ONNX files that leave them ONNX files. A byte changed at random seldom does: the length of every message
//! around it must still be right. These take the file apart, change what it says, and put it together again.

mod choice;
mod graph;

use std::io;

use bytes::Bytes;
use libfuzzer_sys::fuzzer_mutate;
use prost::Message;

use crate::proto::{GraphProto, ModelProto};
use choice::Choice;

/// How many numbers a second file is taken to have at most.
const LARGEST_EXTERNAL: usize = 1 << 20;
static ZEROS: [u8; 4 * LARGEST_EXTERNAL] = [0; 4 * LARGEST_EXTERNAL];

/// A second file of as many zeros as the last word of its name says, which is how the files in `tests/data/exporters` call
/// theirs.
///
/// # Errors
/// For any other name, and for a large number.
pub fn zeros(name: &str) -> io::Result<Bytes> {
    let count = name.rsplit(' ').next().and_then(|count| count.parse::<usize>().ok());
    let count = count.filter(|count| *count <= LARGEST_EXTERNAL).ok_or(io::ErrorKind::NotFound)?;
    Ok(Bytes::from_static(&ZEROS[..4 * count]))
}

/// Changes the file of `size` bytes at the beginning of `data` and answers its new size, `most` at most. Some changes are
/// to single bytes, so that the decoder is tried as well.
pub fn model(data: &mut [u8], size: usize, most: usize, seed: u32) -> usize {
    let mut choice = Choice::new(seed);
    let changed = match ModelProto::decode(&data[..size]) {
        Ok(mut model) if !choice.one_in(64) => {
            change(&mut model, &mut choice);
            put(&model.encode_to_vec(), &mut data[..most])
        }
        _ => None,
    };
    changed.unwrap_or_else(|| fuzzer_mutate(data, size, most))
}

/// One network behind another: the second takes what the first puts out. Answers the size of the new file, or 0.
pub fn join(one: &[u8], other: &[u8], out: &mut [u8], seed: u32) -> usize {
    let (Ok(mut model), Ok(other)) = (ModelProto::decode(one), ModelProto::decode(other)) else { return 0 };
    if let (Some(first), Some(second)) = (&mut model.graph, other.graph) {
        graph::append(first, second, &format!("{:x}.", seed % 0x1000));
    }
    put(&model.encode_to_vec(), out).unwrap_or(0)
}

fn change(model: &mut ModelProto, choice: &mut Choice) {
    match choice.below(48) {
        0 => model.opset_import.iter_mut().for_each(|set| set.version = [7, 9, 11, 13, 18][choice.below(5)]),
        1 => model.metadata_props.iter_mut().for_each(|entry| choice.text(&mut entry.value)),
        _ => graph::change(model.graph.get_or_insert_with(GraphProto::default), choice),
    }
}

fn put(file: &[u8], out: &mut [u8]) -> Option<usize> {
    out.get_mut(..file.len())?.copy_from_slice(file);
    Some(file.len())
}
