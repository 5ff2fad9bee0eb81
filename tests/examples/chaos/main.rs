//! Does to a server what happens to servers, at random, for a while: kill, pause, full disk, full log, damaged files, slow
//! clients. Then it checks that nothing that was acknowledged is lost, and that every answer was right.
//!
//! ```sh
//! cargo run --example chaos -- [SECONDS] [SEED]    # behind `cargo build --workspace`
//! ```

mod faults;
mod ledger;

use std::error::Error;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::blocking::Client;
use serde_json::json;
use tests::images::{color_folders, example, tiny_base_model, write};
use tests::server::{Sandbox, text};

use faults::{Fault, Host};
use ledger::Ledger;

/// How long the run is unless it is told.
const SECONDS: u64 = 600;
/// How long jobs have at the end, on a server that nobody disturbs. One that was killed often waits five minutes.
const RECOVERY: Duration = Duration::from_secs(900);
/// Half-sent requests that are kept open at once.
const SLOW_CLIENTS: usize = 50;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(Ok(SECONDS), |text| text.parse())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let seed = arguments.next().map_or(Ok(now), |text| text.parse())?;
    say(&format!("{seconds} s of chaos, seed {seed}"));
    let sandbox = prepare()?;
    let client = Client::builder().timeout(Duration::from_secs(20)).build()?;
    let ledger = Arc::new(Ledger::default());
    let mut host = Host::start(&sandbox, Random(seed | 1))?;
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<JoinHandle<()>> =
        (0..2).map(|number| classify(&client, host.url.clone(), ledger.clone(), (over.clone(), number))).collect();

    let data = color_folders(sandbox.path("pictures"), 6);
    let started = Instant::now();
    let mut slow: Vec<TcpStream> = Vec::new();
    while started.elapsed() < Duration::from_secs(seconds) {
        submit(&client, &host.address(), &ledger, text(&data));
        match host.pick() {
            Fault::SlowClient => {
                let sent = host.random.pick(&HALF_REQUESTS);
                slow.extend(host.address().strip_prefix("http://").and_then(|address| half_request(address, sent)));
            }
            fault => host.inflict(fault)?,
        }
        if slow.len() > SLOW_CLIENTS {
            slow.clear();
        }
        thread::sleep(Duration::from_millis(host.random.below(1500)));
    }
    say("the faults are over; waiting for the jobs");
    drop(slow);
    host.recover()?;
    let jobs = ledger.settle(&client, &host.address(), RECOVERY)?;
    over.store(true, Ordering::Release);
    for client in clients {
        client.join().map_err(|_| "a client panicked")?;
    }
    let report = ledger.verify(&jobs, &sandbox.path("data/models"))?;
    say(&format!("{report}; faults: {}; seed {seed}", host.summary()));
    Ok(())
}

/// A store with a base model and a classifier of three versions.
fn prepare() -> Outcome<Sandbox> {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &tiny_base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = color_folders(sandbox.path("first"), 12);
    for _ in 0..3 {
        let arguments = ["finetune", "--base", "base", "--data", text(&data), "--name", "colors", "--epochs", "20"];
        let _output = sandbox.succeed(&arguments);
    }
    Ok(sandbox)
}

/// Asks for a job. Only an answer counts as one.
fn submit(client: &Client, address: &str, ledger: &Ledger, data: &str) {
    let name = format!("chaos{}", ledger.submitted() % 3);
    let request = json!({
        "base_model": "base", "name": name, "dataset": {"kind": "folder", "path": data}, "options": {"epochs": 20},
    });
    let answer = client.post(format!("{address}/finetune")).json(&request).send();
    ledger.submission(answer);
}

/// Classifies over and over, whatever happens to the server.
fn classify(
    client: &Client,
    url: Arc<std::sync::RwLock<String>>,
    ledger: Arc<Ledger>,
    (over, number): (Arc<AtomicBool>, usize),
) -> JoinHandle<()> {
    let client = client.clone();
    thread::spawn(move || {
        let classes = ["red", "green", "blue"];
        for turn in number.. {
            if over.load(Ordering::Acquire) {
                return;
            }
            let class = classes[turn % 3];
            let address = url.read().map(|url| url.clone()).unwrap_or_default();
            let request = client.post(format!("{address}/classify/bytes?model=colors"));
            ledger.classification(class, request.header("content-type", "image/bmp").body(example(class)).send());
            thread::sleep(Duration::from_millis(50));
        }
    })
}

/// What slow clients send, and nothing more: nothing, half a head, half a body.
const HALF_REQUESTS: [&str; 3] = [
    "",
    "POST /classify/bytes HTTP/1.1\r\nhost: local",
    "POST /classify/bytes HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\nBM",
];

fn half_request(address: &str, sent: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(sent.as_bytes()).ok()?;
    Some(stream)
}

/// A line for the person who watches. The run goes on when nobody does.
fn say(text: &str) {
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

/// A small generator of numbers, so that a seed repeats a run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}
