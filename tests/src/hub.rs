//! A server that answers as the Hugging Face Hub does, with the files of a test.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A file of a repository.
#[derive(Debug, Clone)]
pub struct HubFile {
    content: Vec<u8>,
    etag: String,
    /// The number of bytes after which the first transfer breaks off.
    breaks: Option<usize>,
}

impl HubFile {
    /// A file whose entity tag is this checksum: SHA-256 for a large file.
    #[must_use]
    pub fn new(content: Vec<u8>, etag: &str) -> Self {
        Self { content, etag: etag.to_owned(), breaks: None }
    }

    /// The same file, but its first transfer breaks off after this many bytes.
    #[must_use]
    pub fn breaking(self, after: usize) -> Self {
        Self { breaks: Some(after), ..self }
    }
}

/// A running server; its thread ends with the process.
pub struct Hub {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    /// Serves files by their path, such as `timm/resnet18.tv_in1k/resolve/main/model.safetensors`, on a free port. As at the
    /// hub, a file's own address gives the checksum and redirects to another, which sends any range of bytes.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn start(files: HashMap<String, HubFile>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("a free port: {error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("its address: {error}"));
        let hub = Self { url: format!("http://{address}"), requests: Arc::default() };
        let (requests, mut files) = (hub.requests.clone(), files);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A disconnected client is no failure of the server.
                let _disconnected = answer(&stream, &mut files, &requests);
            }
        });
        hub
    }

    /// `http://` and address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The path of every request so far, followed by its range.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn answer(
    stream: &TcpStream,
    files: &mut HashMap<String, HubFile>,
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut range = None;
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("range")
        {
            range = Some(value.trim().to_owned());
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    let line = format!("{path} {}", range.clone().unwrap_or_default());
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(line.trim().to_owned());
    let mut stream = stream;
    if let Some(file) = path.strip_prefix("cdn/").and_then(|path| files.get_mut(path)) {
        let length = file.content.len();
        let (start, end) = bounds(range.as_deref().unwrap_or("bytes=0-"), length);
        if start >= length {
            return write!(
                stream,
                "HTTP/1.1 416 Range Not Satisfiable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
        }
        let part = &file.content[start..end];
        write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {start}-{}/{length}\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            end - 1,
            part.len()
        )?;
        // The request for the size asks for one byte; it does not count as the first transfer.
        let length = if part.len() > 1 { file.breaks.take().unwrap_or(part.len()).min(part.len()) } else { part.len() };
        return stream.write_all(&part[..length]);
    }
    match files.get(&path) {
        Some(file) => write!(
            stream,
            "HTTP/1.1 302 Found\r\nlocation: http://{}/cdn/{path}\r\nx-linked-etag: \"{}\"\r\nx-repo-commit: {}\r\n\
             content-length: 0\r\nconnection: close\r\n\r\n",
            stream.local_addr()?,
            file.etag,
            "c0ffee".repeat(6) + "c0ff"
        ),
        None => write!(stream, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
    }
}

/// Start and end of `bytes=START-LAST`; the end is exclusive.
fn bounds(range: &str, length: usize) -> (usize, usize) {
    let (start, end) = range.trim_start_matches("bytes=").split_once('-').unwrap_or(("0", ""));
    let end = end.parse::<usize>().map_or(length, |last| (last + 1).min(length));
    (start.parse().unwrap_or(0), end)
}
