//! Published data sets from a server that has other files under the real paths.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use server::datasets::{
    DownloadError, Downloads, FetchError, PUBLISHED, Permission, Presence, Proof, PublishedDataset, RemoteFile, fetch,
};
use sha2::{Digest, Sha256};
use trainer::events::{Event, Observer};

/// What a server does with a file besides sending it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Usual,
    /// It knows no parts of files.
    Whole,
    /// Its first answer ends after so many bytes.
    Breaking(usize),
}

/// A server on a free port; its thread ends with the process.
struct Mirror {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Mirror {
    fn start(files: &[(&str, &[u8], Manner)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut files: HashMap<String, (Vec<u8>, Manner)> =
            files.iter().map(|&(path, bytes, manner)| (path.to_owned(), (bytes.to_vec(), manner))).collect();
        let requests = Arc::new(Mutex::new(vec![]));
        let told = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is no failure of the server.
                drop(answer(&stream, &mut files, &told));
            }
        });
        Self { url, requests }
    }

    /// Path and range of each request so far.
    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: &TcpStream,
    files: &mut HashMap<String, (Vec<u8>, Manner)>,
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let range = lines.find_map(|line| line.to_ascii_lowercase().strip_prefix("range: ").map(str::to_owned));
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    requests.lock().unwrap().push(format!("{path} {}", range.clone().unwrap_or_default()).trim_end().to_owned());
    let Some((bytes, manner)) = files.get_mut(&path) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    };
    let start = range.filter(|_| *manner != Manner::Whole);
    let start = start.map(|range| range.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().unwrap());
    let length = bytes.len();
    let status = match start {
        Some(start) if start >= length => {
            let refusal = "HTTP/1.1 416 Range Not Satisfiable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            return stream.write_all(refusal.as_bytes());
        }
        Some(start) => format!("206 Partial Content\r\ncontent-range: bytes {start}-{}/{length}", length - 1),
        None => "200 OK".to_owned(),
    };
    let part = &bytes[start.unwrap_or(0)..];
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", part.len())?;
    let sent = if let Manner::Breaking(after) = *manner { after } else { part.len() };
    stream.write_all(&part[..sent])?;
    *manner = if *manner == Manner::Whole { Manner::Whole } else { Manner::Usual };
    Ok(())
}

/// Hears everything, and wants to stop after so many events.
struct Listener {
    events: Vec<Event>,
    patience: usize,
}

impl Observer for Listener {
    fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    fn stopped(&self) -> bool {
        self.events.len() > self.patience
    }
}

fn listener() -> Listener {
    Listener { events: vec![], patience: usize::MAX }
}

const PATH: &str = "/~someone/data/images.tgz";
const URL: &str = "https://data.example/~someone/data/images.tgz";

/// Three MiB and a bit that say nothing.
fn bytes() -> Vec<u8> {
    (0_u32..(3 << 18) + 7).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn row<'a>(sha256: &'a str, bytes: &[u8]) -> RemoteFile<'a> {
    let proof = Proof::Sha256(sha256);
    RemoteFile { url: URL, bytes: bytes.len() as u64, proof, presence: Presence::Required }
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[test]
fn a_file_is_fetched_checked_and_told_of() {
    let (bytes, folder) = (bytes(), tempfile::tempdir().unwrap());
    let mirror = Mirror::start(&[(PATH, &bytes, Manner::Usual)]);
    let mut observer = listener();
    let sum = sha256(&bytes);
    let path = fetch(&row(&sum, &bytes), Some(&mirror.url), folder.path(), &mut observer).unwrap();
    assert_eq!(path, folder.path().join("images.tgz"));
    assert!(fs::read(path).unwrap() == bytes);
    assert_eq!((names(folder.path()), mirror.requests()), (vec!["images.tgz".to_owned()], vec![PATH.to_owned()]));
    assert_eq!(observer.events[0], Event::Note { message: format!("fetching {}{PATH} (about 4 MiB)", mirror.url) });
    let told =
        |event: &Event| if let Event::Progress { done, total, .. } = event { Some((*done, *total)) } else { None };
    let told: Vec<(u64, u64)> = observer.events.iter().filter_map(told).collect();
    // The third MiB and the few bytes behind it may come at once.
    assert!(told.is_sorted() && told[..2] == [(1, 4), (2, 4)] && told.last() == Some(&(4, 4)), "{told:?}");
}

#[test]
fn a_transfer_goes_on_where_it_broke_off_or_was_stopped() {
    let bytes = bytes();
    let sum = sha256(&bytes);
    let file = row(&sum, &bytes);
    let folder = tempfile::tempdir().unwrap();
    let mirror = Mirror::start(&[(PATH, &bytes, Manner::Breaking(1 << 20))]);
    let path = fetch(&file, Some(&mirror.url), folder.path(), &mut listener()).unwrap();
    assert!(fs::read(path).unwrap() == bytes);
    assert_eq!(mirror.requests(), [PATH.to_owned(), format!("{PATH} bytes=1048576-")]);

    let folder = tempfile::tempdir().unwrap();
    let mut impatient = Listener { patience: 2, ..listener() };
    let stopped = fetch(&file, Some(&mirror.url), folder.path(), &mut impatient).unwrap_err();
    assert!(matches!(stopped, FetchError::Stopped));
    assert_eq!(names(folder.path()), ["images.tgz.part"]);
    let path = fetch(&file, Some(&mirror.url), folder.path(), &mut listener()).unwrap();
    assert!(fs::read(path).unwrap() == bytes);
    let last = mirror.requests().pop().unwrap();
    assert!(last.starts_with(&format!("{PATH} bytes=")), "{last}");
}

/// Whatever an earlier attempt has left, and whether or not the server sends parts.
#[test]
fn what_is_left_of_an_earlier_attempt_never_spoils_a_file() {
    let bytes = bytes();
    let sum = sha256(&bytes);
    let longer = [&bytes[..], &[0; 100]].concat();
    for manner in [Manner::Usual, Manner::Whole] {
        for (left, what) in [(&bytes[..5000], "a part"), (&[7; 5000], "another's"), (&bytes, "all"), (&longer, "more")]
        {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("images.tgz.part"), left).unwrap();
            let mirror = Mirror::start(&[(PATH, &bytes, manner)]);
            let path = fetch(&row(&sum, &bytes), Some(&mirror.url), folder.path(), &mut listener()).unwrap();
            assert!(fs::read(path).unwrap() == bytes, "{what}");
        }
    }
}

#[test]
fn another_file_is_refused_and_not_kept() {
    let bytes = bytes();
    let sum = "0".repeat(64);
    let by_sum = row(&sum, &bytes);
    let by_start = RemoteFile { proof: Proof::Begins(b"MATLAB 5.0 MAT-file"), ..by_sum };
    let too_long = RemoteFile { bytes: 10, ..by_sum };
    let mirror = Mirror::start(&[(PATH, &bytes, Manner::Usual)]);
    for (file, reason) in [(by_sum, "its SHA-256 is"), (by_start, "`MATLAB 5.0"), (too_long, "more than 2097172 bytes")]
    {
        let folder = tempfile::tempdir().unwrap();
        let error = fetch(&file, Some(&mirror.url), folder.path(), &mut listener()).unwrap_err();
        assert!(matches!(error, FetchError::Wrong { .. }) && error.to_string().contains(reason), "{error}");
        assert_eq!(names(folder.path()), [""; 0], "{reason}");
    }
}

#[test]
fn what_cannot_be_had_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let file = row("", &[]);
    let mirror = Mirror::start(&[]);
    let missing = fetch(&file, Some(&mirror.url), folder.path(), &mut listener()).unwrap_err();
    assert!(matches!(&missing, FetchError::Missing { url } if url.ends_with(PATH)), "{missing}");
    let nobody = fetch(&file, Some("http://127.0.0.1:1"), folder.path(), &mut listener()).unwrap_err().to_string();
    assert!(nobody.contains("run the command again") && nobody.contains("--dataset-endpoint"), "{nobody}");
    assert_eq!(names(folder.path()), [""; 0]);
    let part = fs::File::create(folder.path().join("images.tgz.part")).unwrap();
    part.lock().unwrap();
    let busy = fetch(&file, Some(&mirror.url), folder.path(), &mut listener()).unwrap_err();
    assert!(matches!(busy, FetchError::Busy { .. }), "{busy}");
}

/// The divisions of the flowers are of use, not needed.
#[test]
fn a_file_that_a_data_set_can_do_without_may_be_missing() {
    const FILES: [RemoteFile<'static>; 2] = [
        RemoteFile { url: URL, bytes: 20, proof: Proof::Begins(b"images"), presence: Presence::Required },
        RemoteFile {
            url: "https://data.example/splits.mat",
            bytes: 9,
            proof: Proof::Begins(b"MATLAB"),
            presence: Presence::Optional,
        },
    ];
    let folder = tempfile::tempdir().unwrap();
    let dataset = PublishedDataset { name: "some", files: &FILES };
    let mirror = Mirror::start(&[(PATH, b"images, so to say", Manner::Usual)]);
    let granted =
        Downloads { folder: folder.path(), permission: Permission::Granted, endpoint: Some(mirror.url.as_str()) };
    let mut observer = listener();
    let path = dataset.obtain(&granted, &mut observer).unwrap();
    assert_eq!(path, folder.path().join("some/images.tgz"));
    let warned =
        |event: &Event| matches!(event, Event::Warning { message } if message.contains("splits.mat is not there"));
    assert!(observer.events.iter().any(warned), "{:?}", observer.events);

    // What is there is used without a question, and what is missing is asked for once more where it may be.
    let denied = Downloads { permission: Permission::Denied, ..granted };
    let before = mirror.requests().len();
    assert_eq!(dataset.obtain(&denied, &mut listener()).unwrap(), path);
    assert_eq!(mirror.requests().len(), before);
    dataset.obtain(&granted, &mut listener()).unwrap();
    assert_eq!(mirror.requests()[before..], ["/splits.mat"]);

    fs::remove_file(path).unwrap();
    let refused = dataset.obtain(&denied, &mut listener()).unwrap_err();
    assert!(matches!(refused, DownloadError::Permission { mib: 1, .. }), "{refused}");
}

#[test]
fn published_addresses_and_checksums_are_well_formed() {
    for file in PUBLISHED.iter().flat_map(|dataset| dataset.files) {
        assert!(file.url.starts_with("https://"), "{}", file.url);
        assert_eq!(file.address(None), file.url);
        if let Proof::Sha256(sum) = file.proof {
            let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            assert!(sum.len() == 64 && sum.bytes().all(digits), "{sum}");
        }
    }
}

fn graft(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_graft"));
    command.current_dir(folder).args(["--data-dir", "graft", "--threads", "2"]).args(arguments).stdin(Stdio::null());
    command.output().unwrap()
}

/// The command line asks for permission, fetches from the published path, and keeps nothing that has another checksum:
/// these are not the real pictures.
#[test]
fn a_command_fetches_only_when_it_may_and_only_what_was_published() {
    let folder = tempfile::tempdir().unwrap();
    let commands = [
        ["train", "--recipe", "he2015-cifar10", "--data", "cifar10"].as_slice(),
        ["lr-find", "--recipe", "he2015-cifar10", "--data", "cifar10"].as_slice(),
        ["finetune", "--base", "some", "--name", "other", "--data", "cifar10"].as_slice(),
    ];
    let mirror = Mirror::start(&[("/~kriz/cifar-10-binary.tar.gz", b"no archive", Manner::Usual)]);
    for command in commands {
        let output = graft(folder.path(), command);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{error}");
        for part in
            ["with --download", "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz (about 163 MiB)", "by hand"]
        {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(mirror.requests(), [""; 0]);
    }
    for command in commands {
        let before = mirror.requests().len();
        let output = graft(folder.path(), &[command, &["--download", "--dataset-endpoint", &mirror.url]].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains("is another file"), "{error}");
        assert_eq!(mirror.requests()[before..], ["/~kriz/cifar-10-binary.tar.gz"]);
        assert_eq!(names(&folder.path().join("graft/cache/datasets/cifar10")), [""; 0]);
    }
}

/// Forty images of each part, as CIFAR-10's authors pack them.
fn cifar10() -> Vec<u8> {
    let batch: Vec<u8> = (0..40_u32)
        .flat_map(|n| std::iter::once((n % 10) as u8).chain((0..3072).map(move |at| (n * 7 + at) as u8)))
        .collect();
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for name in ["data_batch_1.bin", "test_batch.bin"] {
        let mut header = tar::Header::new_ustar();
        header.set_size(batch.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), &batch[..]).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

#[test]
fn a_data_set_that_was_fetched_is_used_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("graft/cache/datasets/cifar10");
    fs::create_dir_all(&kept).unwrap();
    fs::write(kept.join("cifar-10-binary.tar.gz"), cifar10()).unwrap();
    let command = ["lr-find", "--recipe", "he2015-cifar10", "--data", "cifar10", "--steps", "10"];
    let settings = ["--set", "batch_size=10", "--set", "validation_set=0"];
    let output = graft(folder.path(), &[&command[..], &settings].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("40 images train") && text.contains("40 test"), "{text}");
}
