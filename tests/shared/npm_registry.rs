//! npm packages written on the spot, and a registry on loopback that can release new versions, withhold them, ask for a token, or be gone.
//!
//! Source: npm's documentation of the registry API (`GET /<package>`), of package.json, and of tarballs, whose files lie in `package/`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};

/// One release of one package.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    manifest: Map<String, Value>,
    files: Vec<(String, Vec<u8>)>,
}

impl Package {
    /// A package with a module and nothing to start.
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            manifest: Map::new(),
            files: vec![(
                "index.js".to_owned(),
                format!("module.exports = '{name} {version}';\n").into_bytes(),
            )],
        }
    }

    /// Sets a field of package.json.
    pub(crate) fn set(mut self, field: &str, value: Value) -> Self {
        self.manifest.insert(field.to_owned(), value);
        self
    }

    /// Adds a member to a field of package.json that is an object.
    fn member(mut self, field: &str, name: &str, value: &str) -> Self {
        let object = self.manifest.entry(field).or_insert_with(|| json!({}));
        object[name] = value.into();
        self
    }

    pub(crate) fn needs(self, name: &str, range: &str) -> Self {
        self.member("dependencies", name, range)
    }

    pub(crate) fn may_need(self, name: &str, range: &str) -> Self {
        self.member("optionalDependencies", name, range)
    }

    /// A program of the package.
    pub(crate) fn bin(self, command: &str, file: &str) -> Self {
        self.member("bin", command, file)
    }

    pub(crate) fn script(self, name: &str, line: &str) -> Self {
        self.member("scripts", name, line)
    }

    pub(crate) fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.to_owned(), content.into()));
        self
    }

    fn manifest(&self) -> Value {
        let mut manifest = Map::new();
        manifest.insert("name".to_owned(), self.name.clone().into());
        manifest.insert("version".to_owned(), self.version.clone().into());
        manifest.extend(self.manifest.clone());
        manifest.into()
    }

    pub(crate) fn tarball(&self) -> Vec<u8> {
        let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gzip);
        let manifest = self.manifest().to_string().into_bytes();
        let manifest = ("package.json".to_owned(), manifest);
        for (path, content) in std::iter::once(&manifest).chain(&self.files) {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("package/{path}"), content.as_slice())
                .expect("writing to memory");
        }
        let gzip = tar.into_inner().expect("a finished archive");
        gzip.finish().expect("a finished stream")
    }

    /// `sha512-<base64>`.
    pub(crate) fn integrity(&self) -> String {
        integrity(&self.tarball())
    }
}

fn integrity(bytes: &[u8]) -> String {
    format!("sha512-{}", STANDARD.encode(Sha512::digest(bytes)))
}

#[derive(Default)]
struct Release {
    manifest: Value,
    integrity: String,
    tarball: Vec<u8>,
    /// RFC 3339.
    published: Option<String>,
}

#[derive(Default)]
struct Shelves {
    /// Name to version to release.
    packages: BTreeMap<String, BTreeMap<String, Release>>,
    /// Name to tag to version.
    tags: BTreeMap<String, BTreeMap<String, String>>,
    /// Answered to every request when set.
    status: Option<u16>,
    /// Asked for when set.
    token: Option<String>,
}

/// Answers until it is dropped.
pub(crate) struct Registry {
    shelves: Arc<Mutex<Shelves>>,
    address: SocketAddr,
}

impl Registry {
    /// A registry with these releases; the last one of each name is `latest`.
    pub(crate) fn with(packages: impl IntoIterator<Item = Package>) -> Self {
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
                    std::thread::spawn(move || serve(&stream, address, &shelves));
                }
            }
        });
        let registry = Self { shelves, address };
        for package in packages {
            registry.release(&package);
        }
        registry
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Puts one more version up, as `latest`.
    pub(crate) fn release(&self, package: &Package) {
        self.change(|shelves| {
            let tarball = package.tarball();
            let release = Release {
                manifest: package.manifest(),
                integrity: integrity(&tarball),
                tarball,
                published: None,
            };
            let versions = shelves.packages.entry(package.name.clone()).or_default();
            versions.insert(package.version.clone(), release);
            let tags = shelves.tags.entry(package.name.clone()).or_default();
            tags.insert("latest".to_owned(), package.version.clone());
        });
    }

    /// Puts one more version up, as `latest`, that was published then.
    pub(crate) fn release_at(&self, package: &Package, published: &str) {
        self.release(package);
        self.release_of(package, |release| {
            release.published = Some(published.to_owned())
        });
    }

    /// Makes `tag` mean `version`.
    pub(crate) fn tag(&self, name: &str, tag: &str, version: &str) {
        self.change(|shelves| {
            let tags = shelves.tags.entry(name.to_owned()).or_default();
            tags.insert(tag.to_owned(), version.to_owned());
        });
    }

    /// Takes a version away.
    pub(crate) fn withdraw(&self, name: &str, version: &str) {
        self.change(|shelves| {
            let versions = shelves.packages.get_mut(name).expect("a known package");
            versions.remove(version).expect("a known version");
        });
    }

    /// Serves other bytes under the same name and hash.
    pub(crate) fn tamper(&self, package: &Package, tarball: Vec<u8>) {
        self.release_of(package, |release| release.tarball = tarball);
    }

    /// Gives another hash, in npm's notation; none when empty.
    pub(crate) fn announce(&self, package: &Package, integrity: &str) {
        self.release_of(package, |release| release.integrity = integrity.to_owned());
    }

    /// Answers everything with this status from now on.
    pub(crate) fn answer_with(&self, status: Option<u16>) {
        self.change(|shelves| shelves.status = status);
    }

    /// Answers 401 to whoever does not show `token`.
    pub(crate) fn ask_for(&self, token: &str) {
        self.change(|shelves| shelves.token = Some(token.to_owned()));
    }

    fn release_of(&self, package: &Package, change: impl FnOnce(&mut Release)) {
        self.change(|shelves| {
            let versions = shelves.packages.get_mut(&package.name);
            let release = versions.and_then(|versions| versions.get_mut(&package.version));
            change(release.expect("a known release"));
        });
    }

    fn change(&self, change: impl FnOnce(&mut Shelves)) {
        change(&mut self.shelves.lock().expect("no holder panics"));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Wakes the accepting thread, which sees that the shelves are gone.
        self.shelves = Arc::default();
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers one request and closes the connection.
fn serve(mut stream: &TcpStream, address: SocketAddr, shelves: &Mutex<Shelves>) {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    if reader.read_line(&mut request).unwrap_or(0) == 0 {
        return;
    }
    let mut authorization = String::new();
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap_or(0) > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("authorization")
        {
            authorization = value.trim().to_owned();
        }
        line.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or("/");
    let path = path.trim_start_matches('/').replace("%2f", "/");
    let (status, body) = answer(
        &path,
        &authorization,
        address,
        &shelves.lock().expect("no holder panics"),
    );
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\ncache-control: no-cache\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // The client may have read enough and gone.
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(&body));
}

/// Name and version of `-/tarballs/<name>/<version>.tgz`, the address that is told, and of `<name>/-/<last part of name>-<version>.tgz`, which
/// registries have too.
fn tarball(path: &str) -> Option<(&str, &str)> {
    let file = path.strip_suffix(".tgz")?;
    if let Some(told) = file.strip_prefix("-/tarballs/") {
        return told.rsplit_once('/');
    }
    let (name, file) = file.split_once("/-/")?;
    let last = name.rsplit('/').next()?;
    Some((name, file.strip_prefix(last)?.strip_prefix('-')?))
}

fn answer(
    path: &str,
    authorization: &str,
    address: SocketAddr,
    shelves: &Shelves,
) -> (u16, Vec<u8>) {
    let nothing = |status: u16| (status, b"{}".to_vec());
    if let Some(status) = shelves.status {
        return nothing(status);
    }
    let token = shelves.token.as_ref();
    if token.is_some_and(|token| authorization != format!("Bearer {token}")) {
        return nothing(401);
    }
    if let Some((name, version)) = tarball(path) {
        let release = shelves.packages.get(name);
        return match release.and_then(|releases| releases.get(version)) {
            Some(release) => (200, release.tarball.clone()),
            None => nothing(404),
        };
    }
    let Some(releases) = shelves.packages.get(path) else {
        return nothing(404);
    };
    let versions: Map<String, Value> = releases
        .iter()
        .map(|(version, release)| {
            let mut manifest = release.manifest.clone();
            let scripts = manifest["scripts"].clone();
            if ["preinstall", "install", "postinstall"]
                .iter()
                .any(|name| !scripts[*name].is_null())
            {
                manifest["hasInstallScript"] = true.into();
            }
            let mut dist =
                json!({"tarball": format!("http://{address}/-/tarballs/{path}/{version}.tgz")});
            if !release.integrity.is_empty() {
                dist["integrity"] = release.integrity.clone().into();
            }
            manifest["dist"] = dist;
            (version.clone(), manifest)
        })
        .collect();
    let mut packument =
        json!({"name": path, "dist-tags": shelves.tags.get(path), "versions": versions});
    let times: Map<String, Value> = releases
        .iter()
        .filter_map(|(version, release)| Some((version.clone(), release.published.clone()?.into())))
        .collect();
    if !times.is_empty() {
        packument["time"] = times.into();
    }
    (200, packument.to_string().into_bytes())
}
