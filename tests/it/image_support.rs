//! What the tests of images share: Debian's `docker-registry` on loopback, and images written on the spot, blob by blob, with
//! a client of the tests' own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mcplambda::package::image::digest;
use serde_json::{Value, json};

/// A registry that ends with the test.
pub(crate) struct TestRegistry {
    process: Child,
    /// `127.0.0.1:port`.
    pub(crate) host: String,
    log: std::path::PathBuf,
    authorization: Option<String>,
    directory: tempfile::TempDir,
}

/// The user of a registry that asks for one, and bcrypt's hash of the password `secret`.
const HTPASSWD: &str = "mcp:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

impl TestRegistry {
    pub(crate) fn start() -> Self {
        Self::with(false)
    }

    /// One that lets in `mcp` with the password `secret` alone.
    pub(crate) fn private() -> Self {
        Self::with(true)
    }

    fn with(private: bool) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let place = |name: &str| directory.path().join(name);
        std::fs::write(place("htpasswd"), HTPASSWD).expect("written");
        let mut config = json!({"storage": {"filesystem": {"rootdirectory": place("data")}}});
        if private {
            config["auth"] = json!({"htpasswd": {"realm": "test", "path": place("htpasswd")}});
        }
        let authorization = private.then(|| "Basic bWNwOnNlY3JldA==".to_owned());
        Self::serve(directory, config, authorization)
    }

    /// Another process with the same images, which speaks TLS. It is for others: the requests of this client are not encrypted.
    pub(crate) fn beside_with_tls(&self, certificate: &str, key: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let place = |name: &str| directory.path().join(name);
        std::fs::write(place("certificate.pem"), certificate).expect("written");
        std::fs::write(place("key.pem"), key).expect("written");
        let config = json!({
            "storage": {"filesystem": {"rootdirectory": self.directory.path().join("data")}},
            "http": {"tls": {"certificate": place("certificate.pem"), "key": place("key.pem")}},
        });
        Self::serve(directory, config, None)
    }

    fn serve(
        directory: tempfile::TempDir,
        mut config: Value,
        authorization: Option<String>,
    ) -> Self {
        let place = |name: &str| directory.path().join(name);
        config["version"] = json!("0.1");
        config["log"] = json!({"level": "info"});
        config["http"]["addr"] = json!("127.0.0.1:0");
        config["http"]["secret"] = json!("of a test");
        // YAML includes JSON.
        std::fs::write(place("config.yml"), config.to_string()).expect("written");
        let log = place("log");
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(place("config.yml"))
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&log).expect("a log"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("these tests need `docker-registry` (on Debian and Ubuntu: apt-get install docker-registry)");
        let mut lines = BufReader::new(process.stderr.take().expect("piped")).lines();
        let host = lines
            .find_map(|line| {
                let line = line.expect("text");
                let (_, rest) = line.split_once("listening on ")?;
                Some(rest.split(['"', ' ', ',']).next()?.to_owned())
            })
            .expect("docker-registry ended before it listened");
        // Nobody else reads it; a full pipe would stop the registry.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            process,
            host,
            log,
            authorization,
            directory,
        }
    }

    /// Each request so far, as `METHOD path status`, in the order of their ends.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).expect("the access log");
        log.lines()
            .filter_map(|line| {
                // Apache's combined log: … "METHOD path protocol" status bytes …
                let (_, rest) = line.split_once("] \"")?;
                let (request, rest) = rest.split_once('"')?;
                let mut words = request.split(' ');
                let (method, path) = (words.next()?, words.next()?);
                let path = path.split('?').next()?;
                let status = rest.split_whitespace().next()?;
                Some(format!("{method} {path} {status}"))
            })
            .collect()
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: &[u8],
    ) -> (u16, Vec<(String, String)>, Vec<u8>) {
        let mut connection = TcpStream::connect(&self.host).expect("connected");
        let authorization = self.authorization.as_ref();
        let authorization =
            authorization.map_or_else(String::new, |value| format!("Authorization: {value}\r\n"));
        write!(
            connection,
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: {kind}\r\nAccept: {kind}\r\n{authorization}Content-Length: {}\r\n\r\n",
            self.host,
            body.len()
        )
        .expect("sent");
        connection.write_all(body).expect("sent");
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).expect("read");
        let end = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("an answer");
        let head = String::from_utf8(answer[..end].to_vec()).expect("a head");
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_lowercase(), value.to_owned()))
        });
        (
            status.expect("a status"),
            headers.collect(),
            answer[end + 4..].to_vec(),
        )
    }

    pub(crate) fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        let (status, headers, _) = self.request(
            "POST",
            &format!("/v2/{repository}/blobs/uploads/"),
            "*/*",
            &[],
        );
        assert_eq!(status, 202);
        let location = headers.iter().find(|(name, _)| name == "location");
        let location = &location.expect("a location").1;
        let path = location.split_once(&self.host).expect("here").1;
        let (status, ..) = self.request(
            "PUT",
            &format!("{path}&digest={digest}"),
            "application/octet-stream",
            bytes,
        );
        assert_eq!(status, 201);
        digest
    }

    /// Digest of what is put under `name`, a tag or a digest.
    pub(crate) fn put_manifest(&self, repository: &str, name: &str, manifest: &Value) -> String {
        let kind = manifest["mediaType"].as_str().expect("a type");
        let bytes = manifest.to_string();
        let path = format!("/v2/{repository}/manifests/{name}");
        let (status, _, body) = self.request("PUT", &path, kind, bytes.as_bytes());
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
        digest(bytes.as_bytes())
    }

    pub(crate) fn manifest(&self, repository: &str, name: &str) -> (u16, Vec<u8>) {
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let (status, _, body) = self.request(
            "GET",
            &format!("/v2/{repository}/manifests/{name}"),
            kind,
            &[],
        );
        (status, body)
    }

    pub(crate) fn blob(&self, repository: &str, digest: &str) -> Vec<u8> {
        let (status, _, body) = self.request(
            "GET",
            &format!("/v2/{repository}/blobs/{digest}"),
            "*/*",
            &[],
        );
        assert_eq!(status, 200);
        body
    }

    /// An image of one layer that holds one file, under a tag or by its digest: the manifest's digest.
    pub(crate) fn put_image(
        &self,
        repository: &str,
        tag: Option<&str>,
        image: &TestImage,
    ) -> String {
        let (config, layer) = (image.config().to_string(), image.layer());
        let config_digest = self.put_blob(repository, config.as_bytes());
        let layer_digest = self.put_blob(repository, &layer);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": config_digest, "size": config.len()},
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "digest": layer_digest, "size": layer.len()}],
        });
        let by_digest = digest(manifest.to_string().as_bytes());
        self.put_manifest(repository, tag.unwrap_or(&by_digest), &manifest)
    }
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What tells an image from others.
pub(crate) struct TestImage {
    /// As Go names it.
    pub(crate) architecture: &'static str,
    /// Content of `/app/server`.
    pub(crate) server: Vec<u8>,
    /// Further files, by path.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// The configuration's `config`.
    pub(crate) settings: Value,
}

impl TestImage {
    pub(crate) fn new(architecture: &'static str, server: &[u8]) -> Self {
        Self {
            architecture,
            server: server.to_vec(),
            files: Vec::new(),
            settings: json!({"Entrypoint": ["/app/server"], "Cmd": ["--stdio"], "WorkingDir": "/app", "User": "nobody", "Env": ["A=b"]}),
        }
    }

    fn tar(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        let server = ("app/server", &self.server);
        let others = self
            .files
            .iter()
            .map(|(path, content)| (path.as_str(), content));
        for (path, content) in std::iter::once(server).chain(others) {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            archive
                .append_data(&mut header, path, content.as_slice())
                .expect("packed");
        }
        archive.into_inner().expect("packed")
    }

    pub(crate) fn layer(&self) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&self.tar()).expect("packed");
        encoder.finish().expect("packed")
    }

    fn config(&self) -> Value {
        json!({
            "architecture": self.architecture, "os": "linux", "config": self.settings,
            "rootfs": {"type": "layers", "diff_ids": [digest(&self.tar())]},
        })
    }
}

/// `config.json` of Docker below `home`.
pub(crate) fn docker_configuration(home: &Path, configuration: &Value) {
    let directory = home.join(".docker");
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::write(directory.join("config.json"), configuration.to_string()).expect("written");
}
