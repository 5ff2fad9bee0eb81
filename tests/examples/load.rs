//! Open-loop load on a running server: `cargo run --example load -- HOST:PORT MODEL IMAGE [SECONDS]`.
//!
//! Measures the capacity by a closed loop, then sends 1, 2, 3 and 10 times as many requests a second, whatever becomes of
//! the ones before, and prints goodput, latencies from the moment when a request was due, and whether the server counted
//! what the clients did. Clients share the processors with the server here, so its own processor time is printed too.
//!
//! With `refusals` in place of SECONDS it measures what a refusal costs the server instead, in a closed loop of requests for
//! a model that there is not: they are refused where those of a full queue are, by their heads. Start the server with
//! `--log warn` for that, since of refusals by load only twenty lines a second are written.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Connections of the open loop: more than are ever in flight.
const CONNECTIONS: usize = 256;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, model, image, rest @ ..] = &arguments[..] else { panic!("HOST:PORT MODEL IMAGE [SECONDS]") };
    let image = std::fs::read(image).expect("the image can be read");
    if rest.first().is_some_and(|word| word == "refusals") {
        return refusals(address, &image);
    }
    let seconds = rest.first().map_or(10, |text| text.parse().expect("SECONDS is a whole number"));
    let target = Target { address, request: request(address, model, &image), duration: Duration::from_secs(seconds) };
    let closed = target.run(4, None);
    let capacity = closed.goodput();
    println!(
        "load       sent   200   429  other  goodput/s  of peak  server CPU  per CPU s    p50    p99  RSS MB  counts"
    );
    closed.print("closed", capacity);
    for times in [1.0, 2.0, 3.0, 10.0] {
        target.run(CONNECTIONS, Some(times * capacity)).print(&format!("{times} x"), capacity);
    }
}

/// The server's processor time for each refusal, with the body of the image and with one of a kilobyte.
fn refusals(address: &str, image: &[u8]) {
    for round in 1..=5 {
        for body in [image, &image[..image.len().min(1 << 10)]] {
            let request = request(address, "a-model-that-there-is-not", body);
            let outcome = Target { address, request, duration: Duration::from_secs(5) }.run(4, None);
            let (refused, all) =
                (outcome.statuses.get(&404).copied().unwrap_or_default(), outcome.statuses.values().sum());
            assert_eq!(refused, all, "only refusals are measured; the statuses were {:?}", outcome.statuses);
            let millis = 1000.0 * outcome.counted("process_cpu_seconds_total") / refused as f64;
            println!("round {round}: {refused:7} refusals of {:6} bytes, {millis:.4} CPU ms each", body.len());
        }
    }
}

fn request(address: &str, model: &str, image: &[u8]) -> Vec<u8> {
    let length = image.len();
    let head =
        format!("POST /classify/bytes?model={model} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), image].concat()
}

struct Target<'a> {
    address: &'a str,
    request: Vec<u8>,
    duration: Duration,
}

struct Outcome {
    statuses: BTreeMap<u16, usize>,
    /// Of the answers with 200, ascending.
    latencies: Vec<Duration>,
    elapsed: Duration,
    before: BTreeMap<String, f64>,
    after: BTreeMap<String, f64>,
}

impl Target<'_> {
    /// Sends requests at a rate, or one after another on each connection.
    fn run(&self, connections: usize, rate: Option<f64>) -> Outcome {
        let before = self.metrics();
        let (next, start) = (AtomicUsize::new(0), Instant::now());
        let work = || {
            let (mut stream, mut answers) = (connect(self.address), Vec::new());
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let due = rate.map_or(start.elapsed(), |rate| Duration::from_secs_f64(number as f64 / rate));
                if due > self.duration {
                    return answers;
                }
                std::thread::sleep(due.saturating_sub(start.elapsed()));
                let (status, close) = exchange(&mut stream, &self.request);
                answers.push((status, start.elapsed().saturating_sub(due)));
                if close {
                    stream = connect(self.address);
                }
            }
        };
        let answers: Vec<(u16, Duration)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..connections).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("a client does not panic")).collect()
        });
        let elapsed = start.elapsed();
        let mut statuses = BTreeMap::new();
        for (status, _) in &answers {
            *statuses.entry(*status).or_default() += 1;
        }
        let good = answers.iter().filter(|(status, _)| *status == 200);
        let mut latencies: Vec<Duration> = good.map(|(_, latency)| *latency).collect();
        latencies.sort();
        Outcome { statuses, latencies, elapsed, before, after: self.metrics() }
    }

    /// The sums of the server's metrics by name and outcome.
    fn metrics(&self) -> BTreeMap<String, f64> {
        let mut stream = TcpStream::connect(self.address).expect("the server answers");
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("metrics");
        let mut sums = BTreeMap::new();
        for line in
            text.lines().filter(|line| line.starts_with("process_") || line.contains("route=\"/classify/bytes\""))
        {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let outcome = name.split("outcome=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            let name = format!("{} {outcome}", name.split('{').next().unwrap_or_default());
            *sums.entry(name.trim_end().to_owned()).or_default() += value.parse::<f64>().unwrap_or_default();
        }
        sums
    }
}

fn connect(address: &str) -> BufReader<TcpStream> {
    BufReader::new(TcpStream::connect(address).expect("the server accepts connections"))
}

/// The status, and whether the connection ends.
fn exchange(stream: &mut BufReader<TcpStream>, request: &[u8]) -> (u16, bool) {
    if stream.get_mut().write_all(request).is_err() {
        return (0, true);
    }
    let (mut status, mut length, mut close) = (0, 0, false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return (status, true);
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().unwrap_or(0);
        } else if let Some(text) = line.strip_prefix("content-length: ") {
            length = text.parse().unwrap_or(0);
        } else if line == "connection: close" {
            close = true;
        } else if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    (status, stream.read_exact(&mut body).is_err() || close)
}

impl Outcome {
    fn goodput(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    fn counted(&self, name: &str) -> f64 {
        let of = |sums: &BTreeMap<String, f64>| sums.get(name).copied().unwrap_or_default();
        of(&self.after) - of(&self.before)
    }

    /// What every metric has grown by.
    fn differences(&self) -> BTreeMap<&str, f64> {
        self.after.keys().map(|name| (name.as_str(), self.counted(name))).collect()
    }

    fn print(&self, name: &str, peak: f64) {
        let status = |status: u16| self.statuses.get(&status).copied().unwrap_or_default();
        let (sent, good, shed) = (self.statuses.values().sum::<usize>(), status(200), status(429));
        let quantile = |share: f64| {
            let index = (self.latencies.len() as f64 * share) as usize;
            self.latencies.get(index).map_or(0, |latency| latency.as_millis())
        };
        let cpu = self.counted("process_cpu_seconds_total");
        let equal = self.counted("graft_requests_received_total") == sent as f64
            && self.counted("graft_requests_total answered") == good as f64
            && self.counted("graft_requests_total shed") == shed as f64;
        println!(
            "{name:7} {sent:7} {good:5} {shed:5} {:6} {:10.1} {:7.0}% {cpu:9.1} s {:10.1} {:6} {:6} {:7.0}  {}",
            sent - good - shed,
            self.goodput(),
            100.0 * self.goodput() / peak,
            good as f64 / cpu.max(0.01),
            quantile(0.5),
            quantile(0.99),
            self.after.get("process_resident_memory_bytes").copied().unwrap_or_default() / f64::from(1 << 20),
            if equal { "equal" } else { "DIFFER" }
        );
        if !equal || sent > good + shed {
            println!("        statuses {:?}, 0 for none; metrics {:?}", self.statuses, self.differences());
        }
    }
}
