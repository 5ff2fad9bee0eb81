//! What it takes to prepare images, with all pixels decoded and at a fraction of the size: `prepare [ROUNDS] FILE…` prints for each file
//! the least processor milliseconds of one thread, and by how many grey levels what the network sees differs. The two take turns.
//! Linux alone. `cargo run --release --workspace --example prepare -- FILE…`; nasm makes JPEG faster.

#![expect(clippy::print_stdout, reason = "an example reports on the standard output")]

use std::error::Error;
use std::fs;

use models::Preprocess;
use models::preprocess::{Limits, PreparedImage};

const ROUNDS: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    let rounds = files.first().and_then(|first| first.parse().ok());
    if rounds.is_some() {
        files.remove(0);
    }
    let exact = Preprocess::torchvision(224, 224);
    let ways = [exact.clone(), exact.scaled()?];
    println!("| file | exact ms | scaled ms | mean difference | largest |\n|---|---|---|---|---|");
    for file in files {
        let bytes = fs::read(&file)?;
        let mut least = [f64::INFINITY; 2];
        for _ in 0..rounds.unwrap_or(ROUNDS) {
            for (preprocess, least) in ways.iter().zip(&mut least) {
                let before = thread_milliseconds()?;
                preprocess.apply(&bytes, &Limits::default())?;
                *least = least.min(thread_milliseconds()? - before);
            }
        }
        let [exact, scaled] = [&ways[0], &ways[1]].map(|preprocess| preprocess.apply(&bytes, &Limits::default()));
        let (mean, largest) = difference(&exact?, &scaled?);
        println!("| {file} | {:.2} | {:.2} | {mean:.2} | {largest:.0} |", least[0], least[1]);
    }
    Ok(())
}

/// Of two prepared images, in grey levels.
fn difference(first: &PreparedImage, second: &PreparedImage) -> (f64, f64) {
    let differences = first.data().iter().zip(second.data()).map(|(a, b)| f64::from((a - b).abs()));
    let (sum, most) = differences.fold((0.0, 0.0_f64), |(sum, most), each| (sum + each, most.max(each)));
    (sum / first.data().len() as f64, most)
}

/// How long this thread has computed.
fn thread_milliseconds() -> Result<f64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = text.split(' ').next().ok_or("the kernel counts nothing")?.parse()?;
    Ok(nanoseconds / 1e6)
}
