//! Files: finding, reading, relative paths, `check`.

use std::path::{Path, PathBuf};

use super::*;

/// A folder that is removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("coo-config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_are_relative_to_the_configuration() {
    let folder = Folder::new("files");
    folder.write("key", "sk-from-file\n");
    folder.write("binary", [0xff, 0xfe]);
    folder.write("large", vec![b'x'; limits::MAX_SECRET_BYTES + 1]);
    folder.write("cert.pem", "x");
    let text = "server: {tls: {cert_file: cert.pem, key_file: cert.pem}}\nlogging: {access: {path: a.log}}\nllm_providers: [{id: a, type: openai, api_keys: ['file:key']}]\n";
    let path = folder.write("c.yaml", text);
    let config = load_file(&path, &Vars::default()).unwrap().config;
    assert_eq!(config.providers[0].api_keys[0].expose(), "sk-from-file");
    assert_eq!(config.server.tls.unwrap().cert_file, folder.0.join("cert.pem"));
    assert_eq!(config.logging.access.target, LogTarget::File(folder.0.join("a.log")));

    for (secret, part) in [("binary", "it is not UTF-8"), ("large", "it is larger than"), ("", "irectory")] {
        let text = format!("llm_providers: [{{id: a, type: openai, api_keys: ['file:{secret}']}}]\n");
        let path = folder.write("bad.yaml", text);
        let failed = load_file(&path, &Vars::default()).unwrap_err();
        assert!(failed.to_string().contains(part), "{failed}");
    }
}

#[test]
fn unreadable_files_say_why() {
    let folder = Folder::new("unreadable");
    let bytes = folder.write("bytes.yaml", [b'a', 0xff]);
    let large = folder.write("large.yaml", vec![b' '; limits::MAX_FILE_BYTES + 1]);
    for (path, part) in [
        (folder.0.join("missing.yaml"), "cannot read the configuration: No such file"),
        (folder.0.clone(), "cannot read the configuration: Is a directory"),
        (bytes, "not UTF-8 text (byte 1)"),
        (large, "larger than 4194304 bytes"),
    ] {
        let failed = load_file(&path, &Vars::default()).unwrap_err();
        assert!(failed.to_string().contains(part), "{failed}");
        assert!(failed.to_string().ends_with("1 error, 0 warnings"));
    }
    let text = " ".repeat(limits::MAX_FILE_BYTES + 1);
    assert!(load_str("t", &text, &Vars::default()).is_err());
}

#[test]
fn the_file_is_the_named_one_then_the_variable_then_the_usual() {
    let env = vars([("CONFIG_PATH", "from-env.yaml")]);
    assert_eq!(find(Some(Path::new("x.yaml")), &env), Ok("x.yaml".into()));
    assert_eq!(find(None, &env), Ok("from-env.yaml".into()));
    if let Err(error) = find(None, &Vars::default()) {
        let text = error.to_string();
        assert!(text.contains("CONFIG_PATH") && text.contains("configs/config.local.yaml"));
    }
}

#[test]
fn check_reports_and_exits() {
    let folder = Folder::new("check");
    let good = folder.write("good.yaml", with_provider("sever: 1\napi_keys: [{key: k}]\n"));
    let report = check(&good, false, &Vars::default());
    assert_eq!(report.exit_code(), 0);
    assert!(report.to_string().ends_with("OK: 1 provider, 1 client"), "{report}");
    let report = check(&good, true, &Vars::default());
    assert_eq!(report.exit_code(), 1);
    assert!(report.to_string().starts_with("error: sever: unknown key"), "{report}");
    assert!(report.to_string().ends_with("1 error, 0 warnings"), "{report}");
    let bad = folder.write("bad.yaml", "sever: 1\n");
    let report = check(&bad, false, &Vars::default());
    assert_eq!(report.exit_code(), 1);
    assert!(report.to_string().ends_with("1 error, 1 warning"), "{report}");
}
