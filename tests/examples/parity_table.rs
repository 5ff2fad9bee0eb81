//! Runs every network of the tables in the executor and on every engine, and writes the differences into `onnx/README.md`.
//!
//!     ORT_DYLIB_PATH=… cargo run --package tests --example parity_table

use std::error::Error;
use std::path::Path;

use models::zoo;
use onnx::EngineKind;
use onnx::parity::TOLERANCE;
use tests::parity::{self, Parity};

const BEGIN: &str = "<!-- parity table: begin -->";
const END: &str = "<!-- parity table: end -->";
/// Images in a batch.
const IMAGES: usize = 2;

#[expect(clippy::print_stderr, reason = "the table goes into a file, and its making takes minutes")]
fn main() -> Result<(), Box<dyn Error>> {
    if !tests::library::load() {
        return Err("the table is of ONNX Runtime too".into());
    }
    let mut table = String::from(
        "| network | parameters | executor, batch and alone | tract | ONNX Runtime |\n|---|---|---|---|---|\n",
    );
    let mut largest = 0.0_f64;
    for row in zoo::all() {
        let graph = row.graph(row.input(), row.classes())?;
        let parity = parity::measure(&parity::scrambled(&graph), IMAGES).map_err(|e| format!("{}: {e}", row.name()))?;
        let parameters = graph.counts().parameters;
        let line = format!(
            "| {} | {parameters} | {:.1e} | {} | {} |\n",
            row.name(),
            parity.batch,
            cell(&parity, EngineKind::Tract),
            cell(&parity, EngineKind::Ort)
        );
        eprint!("{line}");
        largest = parity.engines.iter().fold(largest, |largest, engine| largest.max(engine.executor).max(engine.batch));
        table.push_str(&line);
    }
    table.push_str(&format!("\nThe largest difference is {largest:.1e}; {TOLERANCE:.0e} is allowed.\n"));
    write(&table)
}

/// From the executor, and between an image in a batch and alone.
fn cell(parity: &Parity, kind: EngineKind) -> String {
    let engine = parity.engines.iter().find(|engine| engine.kind == kind);
    engine.map_or("-".to_owned(), |engine| format!("{:.1e} ({:.1e})", engine.executor, engine.batch))
}

fn write(table: &str) -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../onnx/README.md");
    let text = std::fs::read_to_string(&path)?;
    let (before, rest) = text.split_once(BEGIN).ok_or("onnx/README.md has no place for the table")?;
    let (_, after) = rest.split_once(END).ok_or("onnx/README.md has no end for the table")?;
    std::fs::write(&path, format!("{before}{BEGIN}\n{table}{END}{after}"))?;
    Ok(())
}
