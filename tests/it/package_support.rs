//! What the packaging tests share: `uv`, wheels written on the spot, and a package index on loopback that can release new
//! versions, withhold them, or be gone.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use mcplambda::package::{Architecture, ServerSpec, Source, Tools, plan_source};
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;

/// The `uv` that tests use: `MCPLAMBDA_TEST_UV`, else the pinned one under `target/`, else the one on PATH.
pub(crate) fn uv() -> PathBuf {
    if let Some(given) = std::env::var_os("MCPLAMBDA_TEST_UV") {
        return given.into();
    }
    let pinned = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/uv");
    if pinned.is_file() {
        return pinned;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join("uv"))
        .find(|uv| uv.is_file());
    found.expect(
        "these tests need uv: run tests/local-aws/install.sh, or `pip install uv`, or set MCPLAMBDA_TEST_UV to its path",
    )
}

/// Where the real `python3` is. Nothing else is on the PATH of the tests' `uv`, which asks every interpreter it finds there.
fn python_directory() -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let output = Command::new("python3")
            .args(["-c", "import sys; print(sys.executable)"])
            .output();
        let output = output
            .expect("these tests need python3, of any version")
            .stdout;
        let python = PathBuf::from(String::from_utf8(output).expect("a path").trim());
        python.parent().expect("a directory").to_owned()
    };
    DIRECTORY.get_or_init(find).clone()
}

/// `uv` with a cache of its own and `index` as the only place to look; nothing of the user's settings.
pub(crate) fn tools(index: &str, home: &Path) -> Tools {
    let mut environment: BTreeMap<OsString, OsString> = BTreeMap::new();
    environment.insert("PATH".into(), python_directory().into());
    environment.insert("HOME".into(), home.into());
    environment.insert("TMPDIR".into(), home.into());
    environment.insert("UV_DEFAULT_INDEX".into(), index.into());
    environment.insert("UV_NO_CONFIG".into(), "1".into());
    environment.insert("UV_HTTP_RETRIES".into(), "0".into());
    Tools {
        uv_path: Some(uv()),
        npm_path: None,
        cache_dir: Some(home.join("cache")),
        environment,
        minimum_age: None,
        now: SystemTime::now(),
        downloads: None,
    }
}

/// A spec for `uvx` on x86_64 and the default runtime.
pub(crate) fn spec(args: &[&str]) -> ServerSpec {
    ServerSpec {
        command: "uvx".to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        packages: Vec::new(),
        allow_scripts: None,
        compile_bytecode: false,
        runtime: None,
        architecture: Architecture::X86_64,
        cwd: None,
        source_dir: None,
        source_excludes: Vec::new(),
        layered: false,
    }
}

/// The source of `uvx <args>`.
pub(crate) fn source(args: &[&str]) -> Source {
    plan_source(&spec(args)).expect("a valid command line")
}

/// A wheel that is written file by file.
pub(crate) struct Wheel {
    name: String,
    version: String,
    tag: String,
    metadata: String,
    entry_points: String,
    files: Vec<(String, Vec<u8>)>,
}

impl Wheel {
    /// A pure Python wheel with one module of the package's name.
    pub(crate) fn new(name: &str, version: &str) -> Self {
        let module = name.replace('-', "_");
        let body = format!("def main():\n    print('{name} {version}')\n");
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            tag: "py3-none-any".to_owned(),
            metadata: String::new(),
            entry_points: String::new(),
            files: vec![(format!("{module}/__init__.py"), body.into_bytes())],
        }
    }

    /// A wheel of nothing but what is added to it.
    pub(crate) fn without_module(name: &str, version: &str) -> Self {
        Self {
            files: Vec::new(),
            ..Self::new(name, version)
        }
    }

    pub(crate) fn tag(mut self, tag: &str) -> Self {
        self.tag = tag.to_owned();
        self
    }

    pub(crate) fn needs(mut self, requirement: &str) -> Self {
        self.metadata
            .push_str(&format!("Requires-Dist: {requirement}\n"));
        self
    }

    /// A line of METADATA.
    pub(crate) fn metadata(mut self, line: &str) -> Self {
        self.metadata.push_str(&format!("{line}\n"));
        self
    }

    pub(crate) fn script(mut self, name: &str, target: &str) -> Self {
        if self.entry_points.is_empty() {
            self.entry_points.push_str("[console_scripts]\n");
        }
        self.entry_points.push_str(&format!("{name} = {target}\n"));
        self
    }

    pub(crate) fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.to_owned(), content.into()));
        self
    }

    pub(crate) fn file_name(&self) -> String {
        format!(
            "{}-{}-{}.whl",
            self.name.replace('-', "_"),
            self.version,
            self.tag
        )
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let info = format!("{}-{}.dist-info", self.name.replace('-', "_"), self.version);
        let mut files = self.files.clone();
        let pure = self.tag.ends_with("-any");
        let metadata = format!(
            "Metadata-Version: 2.1\nName: {}\nVersion: {}\n{}",
            self.name, self.version, self.metadata
        );
        files.push((format!("{info}/METADATA"), metadata.into_bytes()));
        let wheel = format!(
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: {pure}\nTag: {}\n",
            self.tag
        );
        files.push((format!("{info}/WHEEL"), wheel.into_bytes()));
        if !self.entry_points.is_empty() {
            files.push((
                format!("{info}/entry_points.txt"),
                self.entry_points.clone().into_bytes(),
            ));
        }
        let mut record = String::new();
        for (path, content) in &files {
            use base64::Engine;
            let hash =
                base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(content));
            let path = if path.contains(',') {
                format!("\"{path}\"")
            } else {
                path.clone()
            };
            record.push_str(&format!("{path},sha256={hash},{}\n", content.len()));
        }
        record.push_str(&format!("{info}/RECORD,,\n"));
        files.push((format!("{info}/RECORD"), record.into_bytes()));
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (path, content) in files {
            writer
                .start_file(path, SimpleFileOptions::default())
                .expect("a new file in a wheel");
            writer.write_all(&content).expect("writing to memory");
        }
        writer.finish().expect("a finished wheel").into_inner()
    }

    pub(crate) fn sha256(&self) -> String {
        Sha256::digest(self.bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// A file, and what an index says of it besides its hash.
#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    /// RFC 3339.
    uploaded: Option<String>,
    /// Why nobody should use it.
    yanked: Option<String>,
}

impl File {
    fn hash(&self) -> String {
        let digest = Sha256::digest(&self.bytes);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[derive(Default)]
struct Shelves {
    /// Normalised project name to file name to file.
    projects: BTreeMap<String, BTreeMap<String, File>>,
    /// Answered to every request when set.
    status: Option<&'static str>,
    /// How many requests are still answered with 503.
    busy: usize,
    /// The header `Authorization` that is asked for when set.
    authorization: Option<String>,
}

/// A package index (PEP 503, hashes in the links; PEP 691 and 700 for projects of which it says more) on loopback. Gone when dropped.
pub(crate) struct Index {
    shelves: Arc<Mutex<Shelves>>,
    address: std::net::SocketAddr,
}

impl Index {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let address = listener.local_addr().expect("its address");
        let shelves = Arc::new(Mutex::new(Shelves::default()));
        let shared = Arc::downgrade(&shelves);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(shelves) = shared.upgrade() else {
                    return;
                };
                if let Ok(stream) = stream {
                    std::thread::spawn(move || serve(stream, &shelves));
                }
            }
        });
        Self { shelves, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/simple", self.address)
    }

    /// Puts a wheel on the shelf and returns its SHA-256.
    pub(crate) fn release(&self, wheel: &Wheel) -> String {
        self.put(&wheel.name, &wheel.file_name(), wheel.bytes());
        wheel.sha256()
    }

    pub(crate) fn put(&self, project: &str, file_name: &str, bytes: Vec<u8>) {
        let mut shelves = self
            .shelves
            .lock()
            .expect("no test panics while it holds the shelves");
        shelves
            .projects
            .entry(project.to_owned())
            .or_default()
            .insert(
                file_name.to_owned(),
                File {
                    bytes,
                    ..File::default()
                },
            );
    }

    /// Puts a wheel on the shelf that was uploaded then; returns its SHA-256.
    pub(crate) fn release_at(&self, wheel: &Wheel, uploaded: &str) -> String {
        let hash = self.release(wheel);
        self.tell(wheel, |file| file.uploaded = Some(uploaded.to_owned()));
        hash
    }

    /// Says that nobody should use a wheel, and why.
    pub(crate) fn yank(&self, wheel: &Wheel, reason: &str) {
        self.tell(wheel, |file| file.yanked = Some(reason.to_owned()));
    }

    fn tell(&self, wheel: &Wheel, change: impl FnOnce(&mut File)) {
        let mut shelves = self
            .shelves
            .lock()
            .expect("no test panics while it holds the shelves");
        let files = shelves.projects.get_mut(&wheel.name);
        let file = files.and_then(|files| files.get_mut(&wheel.file_name()));
        change(file.expect("a known file"));
    }

    /// Takes a file from the shelf.
    pub(crate) fn withdraw(&self, project: &str, file_name: &str) {
        let mut shelves = self
            .shelves
            .lock()
            .expect("no test panics while it holds the shelves");
        let project = shelves.projects.get_mut(project).expect("a known project");
        project.remove(file_name).expect("a known file");
    }

    /// Answers everything with this status from now on.
    pub(crate) fn answer_with(&self, status: &'static str) {
        self.shelves
            .lock()
            .expect("no test panics while it holds the shelves")
            .status = Some(status);
    }

    /// Answers the next `requests` with status 503.
    pub(crate) fn be_busy(&self, requests: usize) {
        self.shelves
            .lock()
            .expect("no test panics while it holds the shelves")
            .busy = requests;
    }

    /// Answers 401 to whoever does not show these credentials.
    pub(crate) fn ask_for(&self, user: &str, password: &str) {
        use base64::Engine;
        let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.shelves
            .lock()
            .expect("no test panics while it holds the shelves")
            .authorization = Some(format!("Basic {both}"));
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.address
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        // Wakes the accepting thread, which sees that the shelves are gone.
        self.shelves = Arc::default();
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, shelves: &Mutex<Shelves>) {
    let mut reader = BufReader::new(match stream.try_clone() {
        Ok(stream) => stream,
        Err(_) => return,
    });
    let mut stream = stream;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        let mut authorization = None;
        let mut header = String::new();
        while reader.read_line(&mut header).unwrap_or(0) > 2 {
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("authorization")
            {
                authorization = Some(value.trim().to_owned());
            }
            header.clear();
        }
        let mut words = request.split(' ');
        let (method, path) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let (status, kind, body) = {
            let mut shelves = shelves
                .lock()
                .expect("no test panics while it holds the shelves");
            match shelves.busy.checked_sub(1) {
                Some(left) => {
                    shelves.busy = left;
                    ("503 Service Unavailable", "text/plain", Vec::new())
                }
                None => answer(path, authorization.as_ref(), &shelves),
            }
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-cache\r\n\r\n",
            body.len()
        );
        let sent = stream.write_all(head.as_bytes());
        let sent = sent.and_then(|()| {
            if method == "HEAD" {
                Ok(())
            } else {
                stream.write_all(&body)
            }
        });
        if sent.is_err() {
            return;
        }
    }
}

fn answer(
    path: &str,
    authorization: Option<&String>,
    shelves: &Shelves,
) -> (&'static str, &'static str, Vec<u8>) {
    const NOT_FOUND: (&str, &str, Vec<u8>) = ("404 Not Found", "text/plain", Vec::new());
    if let Some(status) = shelves.status {
        return (status, "text/plain", Vec::new());
    }
    if shelves.authorization.is_some() && shelves.authorization.as_ref() != authorization {
        return ("401 Unauthorized", "text/plain", Vec::new());
    }
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["simple", project] => {
            let Some(files) = shelves.projects.get(*project) else {
                return NOT_FOUND;
            };
            if files
                .values()
                .any(|file| file.uploaded.is_some() || file.yanked.is_some())
            {
                let kind = "application/vnd.pypi.simple.v1+json";
                return ("200 OK", kind, described(project, files).into_bytes());
            }
            let links: String = files
                .iter()
                .map(|(name, file)| {
                    let hash = file.hash();
                    format!("<a href=\"/files/{project}/{name}#sha256={hash}\">{name}</a>\n")
                })
                .collect();
            (
                "200 OK",
                "text/html",
                format!("<!DOCTYPE html><html><body>\n{links}</body></html>\n").into_bytes(),
            )
        }
        ["files", project, name] => match shelves
            .projects
            .get(*project)
            .and_then(|files| files.get(*name))
        {
            Some(file) => ("200 OK", "application/octet-stream", file.bytes.clone()),
            None => NOT_FOUND,
        },
        _ => NOT_FOUND,
    }
}

/// A project in JSON, in which an index can say when files were uploaded.
fn described(project: &str, files: &BTreeMap<String, File>) -> String {
    let files: Vec<_> = files
        .iter()
        .map(|(name, file)| {
            let mut described = serde_json::json!({
                "filename": name, "url": format!("/files/{project}/{name}"), "size": file.bytes.len(),
                "hashes": {"sha256": file.hash()},
            });
            if let Some(uploaded) = &file.uploaded {
                described["upload-time"] = uploaded.as_str().into();
            }
            if let Some(reason) = &file.yanked {
                described["yanked"] = reason.as_str().into();
            }
            described
        })
        .collect();
    serde_json::json!({
        "meta": {"api-version": "1.1"}, "name": project, "files": files,
    })
    .to_string()
}

/// Names, modes and contents of a zip, in the order in which they stand in it.
pub(crate) fn contents(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).expect("a zip");
    (0..archive.len())
        .map(|index| {
            let mut file = archive.by_index(index).expect("an entry");
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut file, &mut content).expect("its content");
            (
                file.name().expect("a UTF-8 name").into_owned(),
                file.unix_mode().expect("its mode"),
                content,
            )
        })
        .collect()
}
