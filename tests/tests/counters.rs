//! That the server counts what its clients count, whatever becomes of models and connections meanwhile.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tests::images::{base_model, example, write};
use tests::server::{Sandbox, Server, json, text};

/// What clients have seen, and what the server says, by outcome.
type Counts = BTreeMap<String, u64>;

const ROUTE: &str = "route=\"/classify/bytes\"";

fn counted(server: &Server) -> Counts {
    let text = server.get("/metrics").text().expect("text");
    let mut counts = Counts::new();
    for line in text.lines().filter(|line| line.contains(ROUTE)) {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let key = if name.starts_with("graft_requests_received_total") {
            "received"
        } else if let Some(rest) = name.strip_prefix("graft_requests_total") {
            rest.split("outcome=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an outcome")
        } else {
            continue;
        };
        *counts.entry(key.to_owned()).or_default() += value.parse::<u64>().expect("a count");
    }
    counts
}

#[test]
fn counts_agree_with_the_clients_while_models_are_reloaded() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let import = |name: &str| sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", name]);
    for name in ["base", "quiet"] {
        let _first = import(name);
    }
    // So short that some are refused, and not all.
    let server = sandbox.serve(&["--queue", "2"]);
    let (over, seen) = (AtomicBool::new(false), Mutex::new(Counts::new()));
    let count = |outcome: &str| *seen.lock().expect("no client panics").entry(outcome.to_owned()).or_default() += 1;
    let classify = |body: Vec<u8>| {
        let answer = server.post("/classify/bytes?model=base", "image/bmp", body);
        count(match answer.status().as_u16() {
            200 => "answered",
            429 => "shed",
            _ => "failed",
        });
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    classify(example("red"));
                }
            });
        }
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                classify(b"no image".to_vec());
                send(&server, 1000, b"BM");
                count("left");
                let image = example("red");
                send(&server, image.len(), &image);
                count("left");
                thread::sleep(Duration::from_millis(20));
            }
        });
        for version in 2..=4 {
            let _next = import("base");
            let _live = sandbox.succeed(&["models", "live", "base", &format!("{version}")]);
            server.wait("the next version serves", || {
                (json(server.get("/models/base"))["version"] == version).then_some(())
            });
        }
        over.store(true, Ordering::Release);
    });

    let seen = seen.into_inner().expect("no client panics");
    let sent = seen.values().sum::<u64>();
    // The server notices that a client has left a moment later.
    let counted = server.wait("every request has ended", || {
        let mut counts = counted(&server);
        let received = counts.remove("received");
        (received == Some(counts.values().sum())).then_some(counts)
    });
    assert_eq!(counted.values().sum::<u64>(), sent, "{counted:?}, {seen:?}");
    let count = |counts: &Counts, outcome: &str| counts.get(outcome).copied().unwrap_or(0);
    for outcome in ["answered", "shed", "failed", "left"] {
        assert!(count(&seen, outcome) > 0, "the test does not cover {outcome}: {seen:?}");
    }
    // Who leaves behind the last byte of a request does not learn whether it was still answered, and who leaves before it, whether
    // the server read the end of the body or of the connection first.
    let surplus = |outcome: &str| count(&counted, outcome).checked_sub(count(&seen, outcome)).expect("no fewer");
    let left = surplus("answered") + surplus("shed") + surplus("failed") + count(&counted, "abandoned");
    assert_eq!(left, count(&seen, "left"), "{counted:?}, {seen:?}");
}

/// A client that leaves behind these bytes of a body, which may be all. It asks a model that refuses nobody.
fn send(server: &Server, length: usize, body: &[u8]) {
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    let head =
        format!("POST /classify/bytes?model=quiet HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("sent");
    // The head must have arrived, or there is no request to count.
    thread::sleep(Duration::from_millis(50));
}
