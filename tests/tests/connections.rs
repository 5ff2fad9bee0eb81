//! Connections as clients of every manner use them: slow, silent, half closed, too many.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::images::{base_model, example, write};
use tests::server::{Sandbox, Server, text};

fn server(sandbox: &Sandbox, arguments: &[&str]) -> Server {
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    sandbox.serve(arguments)
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).expect("a connection");
    // Only bounds the time that a hanging test takes.
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
    stream
}

/// What arrives until the server closes.
fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error}"),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn upload(bytes: &[u8]) -> Vec<u8> {
    let head = format!("POST /classify/bytes HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", bytes.len());
    [head.as_bytes(), bytes].concat()
}

#[test]
fn a_client_that_closes_its_sending_half_gets_its_answer() {
    let sandbox = Sandbox::default();
    let server = server(&sandbox, &[]);
    let upload = upload(&example("red"));
    // The end of the stream arrives at another moment of the request each time.
    for turn in 0..40 {
        let mut stream = connect(&server);
        stream.write_all(&upload).unwrap();
        std::thread::sleep(Duration::from_micros(100 * (turn % 20)));
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = rest(stream);
        assert!(answer.contains("HTTP/1.1 200 OK") && answer.contains("\"predictions\""), "{turn}: {answer}");
    }
    // HTTP/1.0 has no interim answers, and the end of the stream is how its clients always end requests.
    let mut stream = connect(&server);
    let head = format!("POST /classify/bytes HTTP/1.0\r\nContent-Length: {}\r\n\r\n", example("red").len());
    stream.write_all(&[head.as_bytes(), &example("red")].concat()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let answer = rest(stream);
    assert!(answer.starts_with("HTTP/1.0 200 OK") && answer.contains("\"predictions\""), "{answer}");
}

#[test]
fn a_body_that_breaks_off_is_no_image() {
    let sandbox = Sandbox::default();
    let server = server(&sandbox, &[]);
    let mut stream = connect(&server);
    let upload = upload(&example("red"));
    stream.write_all(&upload[..upload.len() / 2]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let answer = rest(stream);
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("body_unreadable"), "{answer}");
}

#[test]
fn a_connection_is_idle_from_its_last_answer_on() {
    let sandbox = Sandbox::default();
    let server = server(&sandbox, &["--idle-timeout-seconds", "3"]);
    let mut stream = connect(&server);
    for _ in 0..5 {
        stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&answer[..length]));
        // Together they are longer than the time-out.
        std::thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(rest(stream), "");
}

/// As the attack was: more than a process may have open before it raises its limit.
#[test]
fn a_thousand_idle_sockets_and_nine_hundred_half_requests_shut_nobody_out() {
    const IDLE: usize = 1000;
    const HALF: usize = 900;
    let own = getrlimit(Resource::Nofile);
    if own.maximum.is_some_and(|most| most < 3000) {
        fixtures::say_skipped("it takes 3000 open files, and the hard limit is lower (`ulimit -H -n`)");
        return;
    }
    setrlimit(Resource::Nofile, Rlimit { current: own.maximum, maximum: own.maximum }).unwrap();
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let serve = sandbox.command(&["serve", "--header-timeout-seconds", "60", "--body-timeout-seconds", "60"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -S -n 1024 && exec \"$@\"", "sh"]).arg(serve.get_program()).args(serve.get_args());
    limited.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let server = sandbox.serve_command(limited, Stdio::inherit());

    let idle: Vec<TcpStream> = (0..IDLE).map(|_| connect(&server)).collect();
    let request = upload(&example("red"));
    let head = request.len() - example("red").len();
    // Half of them in their heads, half in their bodies.
    let half = (0..HALF).map(|number| {
        let mut stream = connect(&server);
        stream.write_all(&request[..if number % 2 == 0 { head - 10 } else { head + 10 }]).unwrap();
        stream
    });
    let half: Vec<TcpStream> = half.collect();
    server.wait("all are connected", || {
        let metrics = ask_closing(&server, "/metrics");
        let line = metrics.lines().find_map(|line| line.strip_prefix("graft_connections "));
        let open: usize = line.expect("the gauge of connections").trim().parse().expect("a number");
        (open >= IDLE + HALF).then_some(())
    });
    for path in ["/health/live", "/health/ready", "/models"] {
        let asked = Instant::now();
        assert!(ask_closing(&server, path).starts_with("HTTP/1.1 200 OK"), "{path}");
        // A second is generous for a few microseconds of work, and far below any time-out that would free a connection.
        assert!(asked.elapsed() < Duration::from_secs(1), "{path} took {:?}", asked.elapsed());
    }
    let mut stream = connect(&server);
    stream.write_all(&request).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(rest(stream).contains("HTTP/1.1 200 OK"));
    drop((idle, half));
}

#[test]
fn connections_that_send_too_slowly_are_closed() {
    let sandbox = Sandbox::default();
    let timeouts = ["--header-timeout-seconds", "1", "--body-timeout-seconds", "1", "--idle-timeout-seconds", "1"];
    let server = server(&sandbox, &timeouts);
    let (silent, mut head, mut idle) = (connect(&server), connect(&server), connect(&server));
    head.write_all(b"POST /classify HTTP/1.1\r\nHost: ").unwrap();
    idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut bodies: Vec<TcpStream> = (0..100).map(|_| connect(&server)).collect();
    let half = &upload(&[7; 1000])[..500];
    for stream in &mut bodies {
        stream.write_all(half).unwrap();
    }
    assert_eq!((rest(silent), rest(head)), (String::new(), String::new()));
    assert!(rest(idle).starts_with("HTTP/1.1 200 OK"));
    for stream in bodies {
        let answer = rest(stream);
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("body_timeout"), "{answer}");
    }
    let metrics = server.get("/metrics").text().unwrap();
    for line in [
        "graft_connections_ended_total{reason=\"header_timeout\"} 2",
        "graft_requests_total{route=\"/classify/bytes\",model=\"base\",outcome=\"failed\",reason=\"body_timeout\"} 100",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
}

#[test]
fn health_is_answered_when_strangers_hold_all_connections() {
    let sandbox = Sandbox::default();
    let server = server(&sandbox, &["--max-connections", "8"]);
    let silent: Vec<TcpStream> = (0..8).map(|_| connect(&server)).collect();
    let ask = |path: &str| {
        let mut stream = connect(&server);
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        rest(stream)
    };
    // The client that waited for readiness may hold a connection, so all eight are taken in either case.
    server.wait("all connections are taken", || ask("/models").contains("too_many_connections").then_some(()));
    assert!(ask("/health/live").starts_with("HTTP/1.1 200 OK"));
    assert!(ask("/health/ready").starts_with("HTTP/1.1 200 OK"));
    drop(silent);
    server.wait("a connection is free", || ask_closing(&server, "/models").starts_with("HTTP/1.1 200").then_some(()));
}

#[test]
fn health_is_answered_when_strangers_hold_the_reserve_as_well_and_come_again() {
    let sandbox = Sandbox::default();
    let server = server(&sandbox, &["--max-connections", "8"]);
    let mut silent: VecDeque<TcpStream> = (0..64).map(|_| connect(&server)).collect();
    for _ in 0..50 {
        // Whoever was closed for the others is back at once.
        for _ in 0..4 {
            silent.push_back(connect(&server));
            silent.pop_front();
        }
        assert!(ask_closing(&server, "/health/live").starts_with("HTTP/1.1 200 OK"));
    }
}

#[test]
fn the_dashboard_shows_metrics_that_exist() {
    let sandbox = Sandbox::default();
    let server = server(&sandbox, &[]);
    assert_eq!(server.post("/classify/bytes", "image/png", example("red")).status(), 200);
    assert!(ask_closing(&server, "/health/live").starts_with("HTTP/1.1 200"));
    // A client sees the end of its connection a moment before the server counts it.
    let metrics = server.wait("an ended connection is counted", || {
        let metrics = server.get("/metrics").text().unwrap();
        metrics.contains("\ngraft_connections_ended_total{").then_some(metrics)
    });
    let exists = |name: &str| {
        metrics.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
    };
    let dashboard: serde_json::Value = serde_json::from_str(include_str!("../../docs/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let words = targets.flat_map(|target| {
        let expression = target["expr"].as_str().unwrap();
        expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
    });
    let names: Vec<&str> = words.filter(|word| word.starts_with("graft_") || word.starts_with("process_")).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(exists(name), "{name}\n{metrics}");
    }
}

fn ask_closing(server: &Server, path: &str) -> String {
    let mut stream = connect(server);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("a request");
    rest(stream)
}

#[test]
fn draining_is_visible_while_the_server_still_answers() {
    let sandbox = Sandbox::default();
    let server = server(&sandbox, &["--drain-delay-seconds", "60"]);
    server.signal("TERM");
    server.wait("the server says that it is going", || {
        ask_closing(&server, "/health/ready").contains("shutting_down").then_some(())
    });
    let mut stream = connect(&server);
    stream.write_all(&upload(&example("red"))).unwrap();
    let answer = rest(stream);
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("connection: close"), "{answer}");
    server.signal("TERM");
    assert!(server.ended().success());
}

#[test]
fn a_server_that_others_reach_wants_keys() {
    let sandbox = Sandbox::default();
    let error = sandbox.fail(&["serve", "--host", "0.0.0.0", "--port", "0"]);
    assert!(error.contains("there are no API keys") && error.contains("graft key new"), "{error}");
}

#[test]
fn keys_are_read_again_on_a_hangup() {
    let sandbox = Sandbox::default();
    let new = |name: &str| {
        let output = sandbox.succeed(&["key", "new", "--name", name, "--role", "infer"]);
        let mut lines = output.lines().map(|line| line.split_once(": ").unwrap().1.to_owned());
        (lines.next().unwrap(), lines.next().unwrap())
    };
    let ((old, old_line), (fresh, fresh_line)) = (new("old"), new("new"));
    write(&sandbox.path("keys"), old_line.as_bytes());
    let server = server(&sandbox, &["--keys", text(&sandbox.path("keys"))]);
    let status = |key: &str| server.get_with("/models", "x-api-key", key).status().as_u16();
    assert_eq!((status(&old), status(&fresh)), (200, 401));
    write(&sandbox.path("keys"), fresh_line.as_bytes());
    server.signal("HUP");
    server.wait("the new key is in force", || (status(&fresh) == 200).then_some(()));
    assert_eq!(status(&old), 401);
    // What cannot be used leaves the keys as they are.
    write(&sandbox.path("keys"), b"nonsense");
    server.signal("HUP");
    assert_eq!(status(&fresh), 200);
}
