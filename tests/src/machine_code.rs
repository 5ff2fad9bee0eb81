//! The machine code of a program for x86-64, read by GNU binutils, which every C compiler of Linux brings.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program and its symbols.
pub struct Program {
    path: PathBuf,
    bytes: Vec<u8>,
    /// From an address of code to its place in the file.
    offset: u64,
    functions: BTreeMap<u64, Function>,
    /// What the entries of the global offset table lead to.
    slots: HashMap<u64, u64>,
    /// Those that lead to functions of libraries.
    imports: HashMap<u64, String>,
}

/// A function as the linker knows it.
pub struct Function {
    /// Mangled.
    pub name: String,
    size: u64,
}

/// An instruction in AT&T's notation.
pub struct Instruction {
    /// Where it stands in the program.
    pub address: u64,
    /// Its name and its operands.
    pub text: String,
    /// The function that it calls, jumps to, or takes the address of.
    pub function: Option<u64>,
    /// The same of a library, by its name.
    pub import: Option<String>,
}

/// A place in a source file through which an instruction came into being.
pub struct Line {
    /// As the compiler was given it.
    pub file: String,
    /// Counted from one.
    pub line: usize,
}

impl Program {
    /// Reads the symbols.
    ///
    /// # Panics
    /// Where binutils are missing or the program cannot be read.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let sections = run(Command::new("objdump").arg("-h").arg(path), "");
        let text = sections.lines().find(|line| line.contains(" .text ")).map(|line| line.split_whitespace().collect());
        let text: Vec<&str> = text.unwrap_or_else(|| panic!("{} has no code", path.display()));
        let symbols = run(Command::new("nm").args(["-S", "--defined-only"]).arg(path), "");
        let relocations = run(Command::new("objdump").arg("-R").arg(path), "");
        Self {
            path: path.to_owned(),
            bytes,
            offset: number(text[3]).wrapping_sub(number(text[5])),
            functions: symbols.lines().filter_map(function).collect(),
            slots: relocations.lines().filter_map(slot).collect(),
            imports: relocations.lines().filter_map(import).collect(),
        }
    }

    /// All functions by their addresses.
    #[must_use]
    pub fn functions(&self) -> &BTreeMap<u64, Function> {
        &self.functions
    }

    /// The instructions of functions, all at once: starting the disassembler on the program takes seconds.
    ///
    /// # Panics
    /// Where an address is no function's.
    #[must_use]
    pub fn disassemble(&self, addresses: &[u64]) -> Vec<Vec<Instruction>> {
        let mut code = Vec::new();
        let starts: Vec<usize> = addresses
            .iter()
            .map(|address| {
                let (start, place) = (code.len(), address.wrapping_sub(self.offset) as usize);
                code.extend_from_slice(&self.bytes[place..][..self.functions[address].size as usize]);
                start
            })
            .collect();
        if code.is_empty() {
            return addresses.iter().map(|_| Vec::new()).collect();
        }
        let mut file = tempfile::NamedTempFile::new().unwrap_or_else(|error| panic!("a temporary file: {error}"));
        file.write_all(&code).unwrap_or_else(|error| panic!("a temporary file: {error}"));
        let options = ["-D", "-b", "binary", "-m", "i386:x86-64", "--no-show-raw-insn", "-w"];
        let listing = run(Command::new("objdump").args(options).arg(file.path()), "");
        let mut functions: Vec<Vec<Instruction>> = addresses.iter().map(|_| Vec::new()).collect();
        for (place, text) in listing.lines().filter_map(|line| line.split_once(":\t")) {
            let Ok(place) = u64::from_str_radix(place.trim(), 16) else { continue };
            let index = starts.partition_point(|&start| start as u64 <= place) - 1;
            let moved = addresses[index].wrapping_sub(starts[index] as u64);
            let target = operand(text).map(|target| target.wrapping_add(moved));
            functions[index].push(Instruction {
                address: place.wrapping_add(moved),
                text: text.to_owned(),
                function: target.and_then(|target| self.resolve(target)),
                import: target.and_then(|target| self.imports.get(&target).cloned()),
            });
        }
        functions
    }

    fn resolve(&self, target: u64) -> Option<u64> {
        let target = self.slots.get(&target).copied().unwrap_or(target);
        self.functions.contains_key(&target).then_some(target)
    }

    /// For each address the lines that led to it: the innermost inlined function first.
    #[must_use]
    pub fn lines(&self, addresses: &[u64]) -> HashMap<u64, Vec<Line>> {
        let input: String = addresses.iter().map(|address| format!("{address:x}\n")).collect();
        let output = run(Command::new("addr2line").args(["-a", "-i", "-e"]).arg(&self.path), &input);
        let mut lines: HashMap<u64, Vec<Line>> = HashMap::new();
        let mut current = 0;
        for text in output.lines() {
            match text.strip_prefix("0x").and_then(|address| u64::from_str_radix(address, 16).ok()) {
                Some(address) => current = address,
                None => lines.entry(current).or_default().extend(line(text)),
            }
        }
        lines
    }
}

/// Runs a program of binutils.
fn run(command: &mut Command, input: &str) -> String {
    let name = command.get_program().to_string_lossy().into_owned();
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = spawned.unwrap_or_else(|error| panic!("{name} of GNU binutils: {error}"));
    let mut stdin = child.stdin.take().unwrap_or_else(|| panic!("{name} has no input"));
    let input = input.to_owned();
    // Beside reading, since either pipe may fill up.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(output.status.success(), "{name}: {}", output.status);
    // Programs that read no input may have closed it.
    drop(writer.join());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn number(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A line of `nm -S`: address, size, kind, name.
fn function(line: &str) -> Option<(u64, Function)> {
    let fields: Vec<&str> = line.split(' ').collect();
    let &[address, size, "t" | "T" | "w" | "W", name] = fields.as_slice() else { return None };
    Some((number(address), Function { name: name.to_owned(), size: number(size) }))
}

/// A line of `objdump -R`: `0000000003ee9398 R_X86_64_RELATIVE  *ABS*+0x0000000003d64030`.
fn slot(line: &str) -> Option<(u64, u64)> {
    let (slot, rest) = line.split_once(" R_X86_64_RELATIVE")?;
    let (_, target) = rest.split_once("*ABS*+0x")?;
    Some((number(slot), number(target.trim())))
}

/// A line of `objdump -R`: `0000000003eeb620 R_X86_64_GLOB_DAT  log1pf@GLIBC_2.2.5`.
fn import(line: &str) -> Option<(u64, String)> {
    let (slot, rest) = line.split_once(" R_X86_64_GLOB_DAT")?;
    Some((number(slot), rest.trim().split('@').next()?.to_owned()))
}

/// The address in `call 0x1f`, `lea 0x7(%rip),%rsi # 0x1f` or `mov 0x7(%rip),%rsi # 0x1f`.
fn operand(text: &str) -> Option<u64> {
    let (instruction, comment) = text.split_once("# ").unwrap_or((text, ""));
    let direct = ["call", "jmp"].iter().any(|name| instruction.split_whitespace().any(|word| word == *name));
    let address = if direct && !instruction.contains('*') {
        instruction.split_whitespace().last()?
    } else {
        comment.split_whitespace().next()?
    };
    u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()
}

/// A line of `addr2line`: `/home/user/graft/models/src/simd.rs:35`, with `(discriminator 2)` behind it or not.
fn line(text: &str) -> Option<Line> {
    let (file, line) = text.split(" (").next()?.rsplit_once(':')?;
    Some(Line { file: file.to_owned(), line: line.parse().ok()? })
}
