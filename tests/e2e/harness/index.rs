//! A Python package index on loopback, to which a test releases versions while it runs.
//!
//! Source: Python packaging specifications, "Simple repository API" (HTML).

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use super::http;
use super::mcp_server::Server;

/// Answers until the test process ends.
pub(crate) struct Index {
    /// For `UV_DEFAULT_INDEX`.
    pub(crate) url: String,
    shelf: Arc<Mutex<Shelf>>,
}

#[derive(Default)]
struct Shelf {
    /// Project (normalised) to file name to bytes.
    projects: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    offline: bool,
}

impl Index {
    /// An index with these releases.
    pub(crate) fn with(servers: impl IntoIterator<Item = Server>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let url = format!(
            "http://{}/simple",
            listener
                .local_addr()
                .expect("a bound listener has an address")
        );
        let shelf = Arc::new(Mutex::new(Shelf::default()));
        let index = Self {
            url,
            shelf: Arc::clone(&shelf),
        };
        for server in servers {
            index.release(&server);
        }
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shelf = Arc::clone(&shelf);
                std::thread::spawn(move || serve(&stream, &shelf));
            }
        });
        index
    }

    /// Puts one more version up for all who ask from now on.
    pub(crate) fn release(&self, server: &Server) {
        self.put(&server.name, &server.wheel_name(), server.wheel());
    }

    /// Puts up any file.
    pub(crate) fn put(&self, project: &str, file: &str, bytes: Vec<u8>) {
        let mut shelf = self.shelf.lock().expect("no holder panics");
        shelf
            .projects
            .entry(project.to_owned())
            .or_default()
            .insert(file.to_owned(), bytes);
    }

    /// From now on connections are closed without an answer, or answered again.
    pub(crate) fn set_offline(&self, offline: bool) {
        self.shelf.lock().expect("no holder panics").offline = offline;
    }
}

/// Answers one request and closes the connection.
fn serve(mut stream: &TcpStream, shelf: &Mutex<Shelf>) {
    let Some((first, _)) = http::head(&mut BufReader::new(stream)) else {
        return;
    };
    let path = first
        .split(' ')
        .nth(1)
        .unwrap_or("/")
        .trim_matches('/')
        .to_owned();
    let (status, kind, body) = {
        let shelf = shelf.lock().expect("no holder panics");
        if shelf.offline {
            return;
        }
        match path.split('/').collect::<Vec<_>>()[..] {
            ["simple", project] => match shelf.projects.get(project) {
                Some(files) => (200, "text/html", page(project, files).into_bytes()),
                None => (404, "text/plain", Vec::new()),
            },
            ["files", project, file] => match shelf
                .projects
                .get(project)
                .and_then(|files| files.get(file))
            {
                Some(bytes) => (200, "application/octet-stream", bytes.clone()),
                None => (404, "text/plain", Vec::new()),
            },
            _ => (404, "text/plain", Vec::new()),
        }
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\ncache-control: no-cache\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    // The client may have read enough and gone.
    let sends_body = !first.starts_with("HEAD");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| {
        if sends_body {
            stream.write_all(&body)
        } else {
            Ok(())
        }
    });
}

fn page(project: &str, files: &BTreeMap<String, Vec<u8>>) -> String {
    let links: String = files
        .iter()
        .map(|(file, bytes)| {
            let hash: String = Sha256::digest(bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!("<a href=\"/files/{project}/{file}#sha256={hash}\">{file}</a>\n")
        })
        .collect();
    format!("<!DOCTYPE html><html><body>\n{links}</body></html>\n")
}
