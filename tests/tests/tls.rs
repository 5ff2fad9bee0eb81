//! A server of HTTPS: certificates that change while it serves, clients that do not speak TLS, and its health check.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tests::server::{Sandbox, Server, text};

/// A certificate for `localhost` that has signed itself.
struct SelfSigned {
    certificate: CertificateDer<'static>,
    pem: String,
    key: String,
}

fn self_signed() -> SelfSigned {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    SelfSigned { certificate: made.cert.der().clone(), pem: made.cert.pem(), key: made.signing_key.serialize_pem() }
}

fn files(sandbox: &Sandbox) -> (PathBuf, PathBuf) {
    (sandbox.path("cert.pem"), sandbox.path("key.pem"))
}

fn install(sandbox: &Sandbox, pem: &str, key: &str) {
    let (cert_file, key_file) = files(sandbox);
    fs::write(cert_file, pem).expect("a file");
    fs::write(key_file, key).expect("a file");
}

fn serve(sandbox: &Sandbox, arguments: &[&str]) -> Server {
    let (cert_file, key_file) = files(sandbox);
    let mut command = sandbox.command(&["serve", "--tls-cert", text(&cert_file), "--tls-key", text(&key_file)]);
    command.args(arguments);
    sandbox.start(command, Stdio::inherit())
}

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A connection whose handshake is done, with a server that has one of these certificates.
fn connect(server: &Server, accepted: &[&SelfSigned]) -> Result<TlsStream, String> {
    let mut roots = RootCertStore::empty();
    for SelfSigned { certificate, .. } in accepted {
        roots.add(certificate.clone()).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    let mut stream = tcp(server);
    session.complete_io(&mut stream).map_err(|error| error.to_string())?;
    Ok(StreamOwned::new(session, stream))
}

fn tcp(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).expect("a connection");
    // Only bounds the time that a hanging test takes.
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
    stream
}

/// Asks over a connection that stays open, and reads one answer.
fn ask(stream: &mut TlsStream) -> String {
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a request");
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[test]
fn certificates_are_read_again_while_connections_go_on() {
    let sandbox = Sandbox::default();
    let (first, second) = (self_signed(), self_signed());
    install(&sandbox, &first.pem, &first.key);
    let server = serve(&sandbox, &[]);
    assert!(server.url().starts_with("https://"), "{}", server.url());
    let mut old = connect(&server, &[&first]).expect("the first certificate");
    assert!(ask(&mut old).starts_with("HTTP/1.1 200 OK"));
    assert!(connect(&server, &[&second]).is_err_and(|error| error.contains("invalid peer certificate")));

    let (over, answers) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        // Somebody who accepts both is never turned away.
        let client = scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                let mut stream = connect(&server, &[&first, &second]).expect("a handshake");
                assert!(ask(&mut stream).starts_with("HTTP/1.1 200 OK"));
                answers.fetch_add(1, Ordering::Relaxed);
            }
        });
        install(&sandbox, &second.pem, &second.key);
        server.signal("HUP");
        server.wait("the second certificate is in force", || connect(&server, &[&second]).ok());
        assert!(connect(&server, &[&first]).is_err_and(|error| error.contains("invalid peer certificate")));
        // A certificate without its key, and then none at all.
        for pem in [&*first.pem, "nonsense"] {
            install(&sandbox, pem, &second.key);
            server.signal("HUP");
            let before = answers.load(Ordering::Relaxed);
            server.wait("more answers", || (answers.load(Ordering::Relaxed) > before + 5).then_some(()));
            assert!(connect(&server, &[&second]).is_ok(), "the certificate before stays in force");
        }
        over.store(true, Ordering::Release);
        client.join().expect("no answer was lost");
    });
    assert!(ask(&mut old).starts_with("HTTP/1.1 200 OK"), "a connection keeps the certificate it began with");
}

#[test]
fn a_client_that_speaks_http_is_told_to_speak_https() {
    let sandbox = Sandbox::default();
    let certificate = self_signed();
    install(&sandbox, &certificate.pem, &certificate.key);
    let server = serve(&sandbox, &["--header-timeout-seconds", "1"]);
    for request in [
        "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /classify/bytes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
    ] {
        let mut stream = tcp(&server);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n") && answer.contains("https_required"), "{answer}");
    }
    // What is neither, and what is nothing.
    for bytes in [&[0x16, 3, 1, 0, 2, 1, 0][..], &[0, 1, 2], b""] {
        let mut stream = tcp(&server);
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // The connection is closed or reset.
        drop(stream.read_to_end(&mut answer));
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    assert!(ask(&mut connect(&server, &[&certificate]).unwrap()).starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn the_health_check_accepts_the_certificates_that_it_is_given() {
    let sandbox = Sandbox::default();
    let authority = authority("an authority");
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["graft.example".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    install(&sandbox, &certificate.pem(), &key.serialize_pem());
    let server = serve(&sandbox, &[]);
    let (_, port) = server.address().rsplit_once(':').unwrap();
    let pem = |name: &str, text: &str| {
        fs::write(sandbox.path(name), text).unwrap();
        sandbox.path(name).to_str().unwrap().to_owned()
    };
    let own = text(&files(&sandbox).0).to_owned();
    let ca = pem("ca.pem", &authority.pem());
    let [other, other_ca] =
        [pem("other.pem", &self_signed().pem), pem("other-ca.pem", &self::authority("another authority").pem())];
    let health = |arguments: &[&str]| {
        let mut command = sandbox.command(&["health", "--port", port]);
        command.args(arguments).env_remove("GRAFT_TLS_CERT");
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    server.wait("the server is ready", || health(&["--https", "--insecure"]).0.then_some(()));
    for arguments in [&["--tls-cert", &own][..], &["--tls-ca", &ca, "--tls-name", "graft.example"]] {
        let (healthy, error) = health(arguments);
        assert!(healthy, "{arguments:?}: {error}");
    }
    for (arguments, reason) in [
        (&[][..], "speaks HTTPS; add --tls-cert, --tls-ca, or --https --insecure"),
        (&["--https"], "nothing says which certificate to accept"),
        (&["--tls-cert", &other], "UnknownIssuer"),
        (&["--tls-ca", &other_ca, "--tls-name", "graft.example"], "UnknownIssuer"),
        (&["--tls-ca", &ca], "not valid for name"),
        (&["--tls-ca", &ca, "--tls-name", "other.example"], "not valid for name"),
        (&["--tls-ca", "nowhere.pem"], "cannot read nowhere.pem"),
        (&["--https", "--insecure", "--tls-name", "a b"], "`a b` is no host name"),
    ] {
        let (healthy, error) = health(arguments);
        assert!(!healthy && error.contains(reason), "{arguments:?}: {error}");
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}
