//! Arithmetic that is believed to be vectorized is: the machine code of every kernel, read from the program.
//!
//! A kernel is compiled for the vector instructions of a processor as far as it is inlined into pulp's dispatcher. What is not
//! inlined there is compiled for processors of 2003, and `f32::mul_add` becomes a call of the C library: right, and ten times
//! slower, which no other test notices.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use tests::machine_code::{Instruction, Line, Program};
use tests::server::graft;

/// Calls that lead out of arithmetic: parts of mangled names. Behind them is all of the standard library.
const OUT_OF_ARITHMETIC: [&str; 5] = ["panic", "_fail", "handle_error", "5alloc", "__rust"];

/// How deep calls are followed.
const DEPTH: usize = 3;

/// Sites without arithmetic: the end of the file's path, and the reason.
const WITHOUT_ARITHMETIC: [(&str, &str); 2] =
    [("models/src/simd.rs", "the macro itself"), ("kernels/simd.rs", "it counts the lanes of a register")];

/// An expression or a function that is compiled for vector instructions.
struct Site {
    /// From the root of the repository.
    file: String,
    lines: RangeInclusive<usize>,
}

#[test]
fn kernels_are_vectorized_with_all_that_they_call() {
    let program = Program::open(&graft());
    let kernels: Vec<(u64, &str)> = program
        .functions()
        .iter()
        .filter_map(|(&address, function)| instruction_set(&function.name).map(|set| (address, set)))
        .collect();
    assert!(kernels.len() > 20, "pulp's functions have other names now: {} found", kernels.len());
    let addresses: Vec<u64> = kernels.iter().map(|(address, _)| *address).collect();
    let bodies = program.disassemble(&addresses);
    let mut findings = not_inlined(&program, &bodies);
    findings.extend(not_vectorized(&program, &kernels, &bodies));
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

/// The instructions for which pulp compiles a function. A third name, for processors that have neither, is no function of its own.
fn instruction_set(name: &str) -> Option<&'static str> {
    let dispatcher = name.contains("4pulp") && name.contains("9vectorize") && name.contains("imp");
    [("2V3", "AVX2"), ("2V4", "AVX-512")]
        .into_iter()
        .find(|(part, _)| dispatcher && name.contains(part))
        .map(|set| set.1)
}

/// Functions that kernels call, themselves or by others, and that compute without the kernels' instructions.
fn not_inlined(program: &Program, kernels: &[Vec<Instruction>]) -> Vec<String> {
    let mut callers: BTreeMap<u64, u64> = BTreeMap::new();
    let mut findings = Vec::new();
    let mut level: Vec<u64> = calls(program, kernels, &mut callers);
    for _ in 0..DEPTH {
        let mut bodies = program.disassemble(&level);
        // What dispatches again has code for processors without these instructions, which does not run here.
        let dispatches = |instruction: &Instruction| {
            instruction.function.is_some_and(|called| instruction_set(&program.functions()[&called].name).is_some())
        };
        bodies.iter_mut().filter(|body| body.iter().any(dispatches)).for_each(Vec::clear);
        for (address, body) in level.iter().zip(&bodies) {
            let name = &program.functions()[address].name;
            let arithmetic = body.iter().filter(|instruction| is_old_arithmetic(&instruction.text)).count();
            if arithmetic > 0 || matches!(name.as_str(), "fma" | "fmaf") {
                findings.push((*address, name, arithmetic));
            }
        }
        level = calls(program, &bodies, &mut callers);
    }
    let places = program.lines(&findings.iter().map(|(address, ..)| callers[address]).collect::<Vec<_>>());
    let describe = |(address, name, arithmetic)| {
        let path = path(places.get(&callers[address]));
        format!("{path} calls {name}, which has {arithmetic} instructions of SSE arithmetic; is it inline(always)?")
    };
    findings.iter().map(|(address, name, arithmetic)| describe((address, *name, *arithmetic))).collect()
}

/// The functions that are called for the first time, each with an address from which it is.
fn calls(program: &Program, bodies: &[Vec<Instruction>], callers: &mut BTreeMap<u64, u64>) -> Vec<u64> {
    let mut called = Vec::new();
    for instruction in bodies.iter().flatten() {
        let Some(function) = instruction.function else { continue };
        let name = &program.functions()[&function].name;
        let leaves = OUT_OF_ARITHMETIC.iter().any(|part| name.contains(part)) || instruction_set(name).is_some();
        if !leaves && !callers.contains_key(&function) {
            callers.insert(function, instruction.address);
            called.push(function);
        }
    }
    called
}

/// Whether an instruction computes, with floating point or on whole registers, as processors without AVX have it.
fn is_old_arithmetic(text: &str) -> bool {
    const INTEGERS: [&str; 7] = ["padd", "psub", "pmul", "pmadd", "pmin", "pmax", "pack"];
    INTEGERS.iter().any(|operation| text.starts_with(operation)) || is_old_float_arithmetic(text)
}

fn is_old_float_arithmetic(text: &str) -> bool {
    ["add", "sub", "mul", "div", "min", "max", "sqrt"].iter().any(|operation| text.starts_with(operation))
        && is_float(text)
}

/// Whether an instruction computes with floating point as processors with AVX have it.
fn is_new_arithmetic(text: &str) -> bool {
    text.strip_prefix('v')
        .is_some_and(|text| is_old_float_arithmetic(text) || (text.starts_with('f') && is_float(text)))
}

/// Whether an instruction is one for numbers of floating point, by the end of its name.
fn is_float(text: &str) -> bool {
    let name = text.split_whitespace().next().unwrap_or_default();
    ["ss", "sd", "ps", "pd"].iter().any(|kind| name.ends_with(kind))
}

/// Kernels without an instruction that computes with whole registers, and sites that lead to no kernel that has one.
fn not_vectorized(program: &Program, kernels: &[(u64, &str)], bodies: &[Vec<Instruction>]) -> Vec<String> {
    let wide = |body: &[Instruction]| -> Vec<u64> {
        body.iter().filter(|instruction| is_wide_arithmetic(&instruction.text)).map(|each| each.address).collect()
    };
    let addresses: Vec<Vec<u64>> = bodies.iter().map(|body| wide(body)).collect();
    let lines = program.lines(&addresses.concat());
    let without = kernels.iter().zip(bodies).zip(&addresses).filter(|(_, addresses)| addresses.is_empty());
    let mut findings = scalar(program, without.map(|(kernel, _)| kernel));
    let mut reached: BTreeMap<&str, BTreeSet<(&str, usize)>> = BTreeMap::new();
    for ((_, set), addresses) in kernels.iter().zip(&addresses) {
        let lines = addresses.iter().filter_map(|address| lines.get(address)).flatten();
        let lines = lines.filter_map(|line| ours(&line.file).map(|file| (file, line.line)));
        reached.entry(set).or_default().extend(lines);
    }
    let sites = sites();
    assert!(sites.len() > 15, "the sources spell kernels in another way now: {} found", sites.len());
    for (set, reached) in &reached {
        let is_reached =
            |site: &Site| reached.iter().any(|(file, line)| *file == site.file && site.lines.contains(line));
        let missing = sites.iter().filter(|site| !is_reached(site));
        let describe =
            |site: &Site| format!("{}:{} computes with no whole register of {set}", site.file, site.lines.start());
        findings.extend(missing.map(describe));
    }
    findings
}

/// Those of the kernels without vector instructions that have no reason for it: calls of the C library's functions of one number, or
/// no arithmetic at all.
fn scalar<'a>(
    program: &Program,
    kernels: impl Iterator<Item = (&'a (u64, &'a str), &'a Vec<Instruction>)>,
) -> Vec<String> {
    const ONE_NUMBER: [&str; 7] = ["exp", "expf", "expm1f", "tanhf", "log", "log1pf", "logf"];
    let findings: Vec<(&str, u64, usize)> = kernels
        .filter(|(_, body)| {
            !body.iter().any(|each| each.import.as_deref().is_some_and(|name| ONE_NUMBER.contains(&name)))
        })
        .filter_map(|((_, set), body)| {
            let mut numbers = body.iter().filter(|each| is_new_arithmetic(&each.text));
            let first = numbers.next()?;
            Some((*set, first.address, 1 + numbers.count()))
        })
        .collect();
    let lines = program.lines(&findings.iter().map(|(_, address, _)| *address).collect::<Vec<_>>());
    let describe = |(set, address, count): &(&str, u64, usize)| {
        format!(
            "{} computes {count} times with single numbers and never with a whole register of {set}",
            path(lines.get(address))
        )
    };
    findings.iter().map(describe).collect()
}

/// The places in our files through which an instruction came into being.
fn path(lines: Option<&Vec<Line>>) -> String {
    let lines = lines.into_iter().flatten();
    let ours = lines.filter_map(|line| ours(&line.file).map(|file| format!("{file}:{}", line.line)));
    ours.collect::<Vec<_>>().join(" in ")
}

/// Whether an instruction computes with a whole register of AVX2 or AVX-512, and does not only move it.
fn is_wide_arithmetic(text: &str) -> bool {
    const MOVES: [&str; 12] = [
        "mov",
        "xor",
        "pxor",
        "pmov",
        "broadcast",
        "pbroadcast",
        "insert",
        "extract",
        "perm",
        "pshuf",
        "shuf",
        "punpck",
    ];
    let Some(name) = text.strip_prefix('v') else { return false };
    (text.contains("%ymm") || text.contains("%zmm")) && !MOVES.iter().any(|each| name.starts_with(each))
}

/// A path from the root of the repository, for files of the crates that compute.
fn ours(file: &str) -> Option<&str> {
    ["/models/src/", "/trainer/src/"].iter().find_map(|folder| file.rfind(folder)).map(|start| &file[start + 1..])
}

/// Every `vectorized!` and every kernel of pulp's in the sources.
fn sites() -> Vec<Site> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository");
    let mut files = Vec::new();
    ["models/src", "trainer/src"].iter().for_each(|folder| collect(&root.join(folder), &mut files));
    let mut sites = Vec::new();
    for path in files {
        let file = path.strip_prefix(root).expect("it was found there").display().to_string();
        if WITHOUT_ARITHMETIC.iter().any(|(end, _)| file.ends_with(end)) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for start in ["vectorized!(", "fn with_simd<"].iter().flat_map(|words| text.match_indices(words)) {
            let lines = extent(&text, start.0);
            sites.push(Site { file: file.clone(), lines });
        }
    }
    sites
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension() {
            _ if path.is_dir() => collect(&path, files),
            Some(extension) if extension == "rs" => files.push(path),
            _ => {}
        }
    }
}

/// The lines from here to the end of the first block of its kind: of a macro its argument, of a function its body.
fn extent(text: &str, start: usize) -> RangeInclusive<usize> {
    let brackets = if text[start..].starts_with("fn") { ['{', '}'] } else { ['(', ')'] };
    let mut depth = 0;
    let end = text[start..].find(|letter| {
        depth += i32::from(letter == brackets[0]) - i32::from(letter == brackets[1]);
        letter == brackets[1] && depth == 0
    });
    let line = |at: usize| 1 + text[..at].matches('\n').count();
    line(start)..=line(start + end.expect("sources that compile close their brackets"))
}
