//! Whether anything has become slower: what takes time, measured against yardsticks in the same run, beside ratios on record.
//!
//! ```sh
//! cargo bench --workspace --bench baseline                      # prints a table; fails where a ratio is too much worse
//! cargo bench --workspace --bench baseline -- depthwise png     # these alone
//! cargo bench --workspace --bench baseline -- --write           # records the ratios for this instruction set
//! ```
//!
//! A yardstick is a plain loop that stands in this program, so that a ratio says what our code does with a processor and not how
//! fast the processor is. Measures and yardsticks take turns, on one thread, in processor time; a ratio is that of the least times.

#![expect(clippy::print_stdout, reason = "a bench reports on the standard output")]

mod measures;
mod networks;
mod record;
mod yardsticks;

use std::process::ExitCode;

use anyhow::{Result, bail};
use rustix::time::{ClockId, clock_gettime};

use measures::Measure;
use record::Record;
use yardsticks::Yardsticks;

/// Rounds of each measure.
const ROUNDS: usize = 30;

/// How much of a ratio may be added before it counts as worse. Repeated runs beside other programs differ by up to
/// 10 %, of `norm` and `activation` by 25 %, on a machine with AVX2; a kernel that loses its vector instructions is two to ten times slower.
const TOLERANCE: f64 = 0.4;

fn main() -> Result<ExitCode> {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let (flags, names): (Vec<&String>, Vec<&String>) = arguments.iter().partition(|each| each.starts_with("--"));
    let write = match flags.as_slice() {
        [] => false,
        [flag] if *flag == "--write" => true,
        others => bail!("{others:?}: the only option is --write"),
    };
    let mut measures = measures::all()?;
    if let Some(name) = names.iter().find(|name| !measures.iter().any(|measure| measure.name == name.as_str())) {
        bail!("no measure is called {name}");
    }
    measures.retain(|measure| names.is_empty() || names.iter().any(|name| measure.name == name.as_str()));
    let ratios = ratios(&mut measures)?;
    let set = instruction_set();
    let mut record = Record::read()?;
    if write {
        record.replace(set, &ratios);
        record.write()?;
    }
    Ok(if report(&record, set, &ratios) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The least time of each measure in multiples of the least time of its yardstick: whatever runs beside can only add to either.
fn ratios(measures: &mut [Measure]) -> Result<Vec<(&'static str, f64)>> {
    let mut yardsticks = Yardsticks::new();
    let mut least = vec![[f64::INFINITY; 2]; measures.len()];
    // One round more, whose passes plan and fill caches.
    for round in 0..=ROUNDS {
        for (measure, least) in measures.iter_mut().zip(&mut least) {
            // Again at once, so that a ratio does not depend on what the measure before has left in the caches.
            (measure.run)()?;
            let times = [cpu_seconds(&mut measure.run)?, cpu_seconds(|| yardsticks.run(measure.yardstick))?];
            if round > 0 {
                least.iter_mut().zip(times).for_each(|(least, time)| *least = least.min(time));
            }
        }
    }
    Ok(measures.iter().zip(least).map(|(measure, [time, yardstick])| (measure.name, time / yardstick)).collect())
}

/// Processor time of a call: other programs change it less than the time on the clock.
fn cpu_seconds(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let now = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    };
    let start = now();
    run()?;
    Ok(now() - start)
}

/// Prints the table. False where a ratio is worse than its tolerance allows.
fn report(record: &Record, set: &str, ratios: &[(&'static str, f64)]) -> bool {
    println!("| {set} | ratio | on record | change |\n|---|---|---|---|");
    let mut slower = vec![];
    for (name, ratio) in ratios {
        let Some(recorded) = record.ratio(set, name) else {
            println!("| {name} | {ratio:.3} | none | |");
            continue;
        };
        let change = ratio / recorded - 1.0;
        println!("| {name} | {ratio:.3} | {recorded:.3} | {:+.0} % |", 100.0 * change);
        if change > TOLERANCE {
            slower.push(*name);
        } else if change < -TOLERANCE {
            println!(
                "\n{name} has become faster; record it with --write, or the next loss of as much goes unnoticed\n"
            );
        }
    }
    if !slower.is_empty() {
        println!("\nslower by more than {:.0} %: {}", 100.0 * TOLERANCE, slower.join(", "));
    }
    slower.is_empty()
}

/// What kernels are compiled for here. Ratios of one set say nothing about another one.
fn instruction_set() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "avx512";
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return "avx2";
        }
    }
    if cfg!(target_arch = "aarch64") { "neon" } else { "scalar" }
}
