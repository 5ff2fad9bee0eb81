//! Spans of requests as a collector receives them. For a program with the feature: `cargo build --workspace --features
//! server/otel`, then `cargo test --workspace --features server/otel --test otel`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;
use std::time::Duration;

use prost::Message;
use tests::images::{example, tiny_base_model, write};
use tests::server::{Sandbox, text};

// The fields of opentelemetry-proto's trace/v1/trace.proto and common/v1/common.proto that are looked at.
#[derive(Clone, PartialEq, Message)]
struct ExportTraceServiceRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    /// 1 is internal, 2 a server's.
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(string, optional, tag = "1")]
    string_value: Option<String>,
    #[prost(int64, optional, tag = "3")]
    int_value: Option<i64>,
}

/// A collector on a free port: its address, and what it is sent.
fn collector() -> (String, Receiver<ResourceSpans>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, receiver) = channel();
    spawn(move || {
        for stream in listener.incoming().flatten() {
            let sender = sender.clone();
            spawn(move || {
                let mut stream = BufReader::new(stream);
                while let Some(body) = post(&mut stream) {
                    let request = ExportTraceServiceRequest::decode(&*body).expect("OTLP");
                    // Nobody listens any more when the test is over.
                    request.resource_spans.into_iter().for_each(|spans| drop(sender.send(spans)));
                    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
                    stream.get_mut().write_all(answer.as_bytes()).expect("an answer");
                }
            });
        }
    });
    (address, receiver)
}

/// The body of one `POST /v1/traces`; `None` at the end of the connection.
fn post(stream: &mut impl BufRead) -> Option<Vec<u8>> {
    let (mut length, mut lines) = (0, Vec::new());
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(text) = line.strip_prefix("content-length:") {
            length = text.trim().parse().expect("a length");
        }
        lines.push(line);
    }
    assert_eq!(lines[0], "post /v1/traces http/1.1");
    assert!(lines.iter().any(|line| line == "content-type: application/x-protobuf"), "{lines:?}");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a body");
    Some(body)
}

fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> &'a AnyValue {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    found.and_then(|attribute| attribute.value.as_ref()).unwrap_or_else(|| panic!("no {key} in {attributes:?}"))
}

#[test]
fn a_request_is_a_span_of_its_callers_trace_with_its_stages_as_children() {
    let sandbox = Sandbox::default();
    if !sandbox.succeed(&["serve", "--help"]).contains("--otlp-endpoint") {
        fixtures::say_skipped("the program is built without spans; build it with `--features server/otel`");
        return;
    }
    write(&sandbox.path("base.onnx"), &tiny_base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let (address, received) = collector();
    let mut command = sandbox.command(&["serve", "--otlp-endpoint", &address]);
    // As soon as they are over, in milliseconds.
    command.env("OTEL_BSP_SCHEDULE_DELAY", "100");
    let server = sandbox.serve_command(command, std::process::Stdio::inherit());
    // The example of W3C Trace Context.
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let url = format!("{}/classify/bytes?model=base", server.url());
    let classify = |traceparent: &str, body: Vec<u8>| {
        let request = reqwest::blocking::Client::new().post(&url).header("traceparent", traceparent);
        request.body(body).send().expect("an answer").status()
    };
    assert_eq!(classify(traceparent, example("red")), 200);
    // The caller of this trace records nothing, so nothing is recorded.
    assert_eq!(classify("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", example("red")), 200);
    assert_eq!(classify("", b"a text".to_vec()), 422);

    let mut spans: Vec<Span> = Vec::new();
    while spans.iter().filter(|span| span.name == "POST /classify/bytes").count() < 2 {
        let batch = received.recv_timeout(Duration::from_secs(60)).expect("spans");
        let service = attribute(&batch.resource.expect("a resource").attributes, "service.name").clone();
        assert_eq!(service.string_value.as_deref(), Some("graft"));
        spans.extend(batch.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
    let trace_id = hex::decode("4bf92f3577b34da6a3ce929d0e0e4736").unwrap();
    let request = spans.iter().find(|span| span.trace_id == trace_id && span.kind == 2).expect("the request's span");
    assert_eq!(request.parent_span_id, hex::decode("00f067aa0ba902b7").unwrap());
    assert_eq!(attribute(&request.attributes, "http.response.status_code").int_value, Some(200));
    assert_eq!(attribute(&request.attributes, "http.route").string_value.as_deref(), Some("/classify/bytes"));
    assert_eq!(attribute(&request.attributes, "graft.model").string_value.as_deref(), Some("base"));
    let mut stages: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id == request.span_id).collect();
    stages.sort_by_key(|span| span.start_time_unix_nano);
    let names: Vec<&str> = stages.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["read", "decode", "queue", "inference"]);
    assert!(stages.iter().all(|span| span.trace_id == trace_id));
    assert!(stages.windows(2).all(|pair| pair[0].end_time_unix_nano == pair[1].start_time_unix_nano));
    assert!(stages.iter().all(|span| span.end_time_unix_nano <= request.end_time_unix_nano));

    let refused = spans.iter().filter(|span| span.kind == 2 && span.trace_id != trace_id);
    let refused: Vec<&Span> = refused.filter(|span| span.name == "POST /classify/bytes").collect();
    let [refused] = refused[..] else { panic!("{refused:?}") };
    assert!(refused.parent_span_id.is_empty());
    assert_eq!(attribute(&refused.attributes, "error.type").string_value.as_deref(), Some("not_an_image"));
}
