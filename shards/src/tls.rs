//! TLS with rustls as a synchronous transform: ciphertext in, plaintext out, and back.
//!
//! No I/O happens here; [`crate::stream`] moves the bytes. One [`Session`] is one connection's state.

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

use crate::buf::Buf;

/// Largest plaintext read in one call: one TLS record.
const RECORD_BYTES: usize = 16 * 1024;

/// rustls keeps at most 16 KiB of plaintext that was not read and refuses more ciphertext meanwhile. From this much
/// on it is moved out of its way; one receive may bring more than two records.
const READY_BYTES: usize = 4 * 1024;

/// One connection's TLS state.
pub struct Session {
    connection: Connection,
    /// Plaintext that was moved out of the way, and how much of it has been taken.
    ready: Vec<u8>,
    taken: usize,
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl Session {
    /// The client side, towards `name`.
    ///
    /// # Errors
    /// `InvalidData` where the configuration cannot be used for `name`.
    pub fn client(config: &Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        let connection = ClientConnection::new(Arc::clone(config), name).map_err(invalid)?;
        Ok(Self { connection: Connection::Client(connection), ready: Vec::new(), taken: 0 })
    }

    /// The server side.
    ///
    /// # Errors
    /// `InvalidData` where the configuration cannot be used.
    pub fn server(config: &Arc<ServerConfig>) -> io::Result<Self> {
        let connection = ServerConnection::new(Arc::clone(config)).map_err(invalid)?;
        Ok(Self { connection: Connection::Server(connection), ready: Vec::new(), taken: 0 })
    }

    /// Whether the handshake is still under way.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Moves decrypted bytes into `buf`: `Some(n)` bytes, `Some(0)` at a clean end, `None` when more
    /// ciphertext is needed.
    pub(crate) fn take_plaintext(&mut self, buf: &mut Buf) -> io::Result<Option<usize>> {
        let room = buf.spare().clamp(1, RECORD_BYTES);
        let vec = buf.vec_mut();
        let ready = self.ready.get(self.taken..).unwrap_or_default();
        if let Some(first) = ready.get(..room.min(ready.len())).filter(|first| !first.is_empty()) {
            vec.extend_from_slice(first);
            let n = first.len();
            self.taken += n;
            if self.taken == self.ready.len() {
                (self.ready, self.taken) = (Vec::new(), 0);
            }
            return Ok(Some(n));
        }
        let before = vec.len();
        vec.resize(before + room, 0);
        let result = match vec.get_mut(before..) {
            Some(target) => self.connection.reader().read(target),
            None => Ok(0),
        };
        vec.truncate(before + *result.as_ref().unwrap_or(&0));
        match result {
            Ok(n) => Ok(Some(n)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Feeds received ciphertext; `ended` says that the socket reached its end.
    pub(crate) fn put_ciphertext(&mut self, mut cipher: &[u8], ended: bool) -> io::Result<()> {
        if ended {
            // Makes the next read report a missing close_notify as UnexpectedEof.
            self.connection.read_tls(&mut io::empty())?;
        }
        while !cipher.is_empty() {
            self.connection.read_tls(&mut cipher)?;
            let state = self.connection.process_new_packets().map_err(invalid)?;
            let waiting = state.plaintext_bytes_to_read();
            if waiting >= READY_BYTES && !cipher.is_empty() {
                let before = self.ready.len();
                self.ready.resize(before + waiting, 0);
                let read = match self.ready.get_mut(before..) {
                    Some(room) => self.connection.reader().read(room)?,
                    None => 0,
                };
                self.ready.truncate(before + read);
            }
        }
        Ok(())
    }

    /// Encrypts `plain` and appends the records to `cipher`.
    pub(crate) fn seal(&mut self, plain: &[u8], cipher: &mut Buf) -> io::Result<()> {
        self.connection.set_buffer_limit(None);
        self.connection.writer().write_all(plain)?;
        self.pending(cipher)
    }

    /// Appends whatever the TLS layer wants sent (handshake, alerts, key updates).
    pub(crate) fn pending(&mut self, cipher: &mut Buf) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(cipher.vec_mut())?;
        }
        Ok(())
    }

    /// Appends `close_notify`.
    pub(crate) fn close(&mut self, cipher: &mut Buf) -> io::Result<()> {
        self.connection.send_close_notify();
        self.pending(cipher)
    }
}

/// Client configuration with the system's root certificates and those of `extra` (a PEM file); sessions
/// resume by ticket, HTTP/1.1 is offered in ALPN.
///
/// # Errors
/// `NotFound` where no root certificate at all could be loaded; the error of reading `extra`.
pub fn client_config(extra: Option<&Path>) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = extra {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(invalid)?;
        }
    }
    if roots.is_empty() {
        let why = "no root certificates: install the ca-certificates package or set upstream.tls.ca_file";
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(invalid)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Server configuration from PEM files; clients resume by stateless ticket.
///
/// # Errors
/// The error of reading a file, or `InvalidData` where the certificate and key do not fit.
pub fn server_config(cert_file: &Path, key_file: &Path) -> io::Result<Arc<ServerConfig>> {
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| pem(key_file, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(invalid)?
        .with_no_client_auth()
        .with_single_cert(certificates(cert_file)?, key)
        .map_err(invalid)?;
    config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(invalid)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    if let Err(error) = fs::metadata(path) {
        return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
    }
    CertificateDer::pem_file_iter(path)
        .map_err(|error| pem(path, &error))?
        .collect::<Result<_, _>>()
        .map_err(|error| pem(path, &error))
}

fn pem(path: &Path, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client and a server that trust each other, after their handshake.
    fn pair() -> (Session, Session) {
        let key = rcgen::KeyPair::generate().unwrap();
        let cert =
            rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let folder = std::env::temp_dir().join(format!("coo-tls-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (cert_file, key_file) = (folder.join("cert.pem"), folder.join("key.pem"));
        fs::write(&cert_file, cert.pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        let server = server_config(&cert_file, &key_file).unwrap();
        let client = client_config(Some(&cert_file)).unwrap();
        fs::remove_dir_all(folder).unwrap();
        let mut client = Session::client(&client, ServerName::try_from("localhost").unwrap()).unwrap();
        let mut server = Session::server(&server).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            for (from, to) in [(0, 1), (1, 0)] {
                let mut cipher = Buf::with_capacity(16 * 1024);
                let sessions = [&mut client, &mut server];
                sessions[from].pending(&mut cipher).unwrap();
                sessions[to].put_ciphertext(&cipher, false).unwrap();
            }
        }
        (client, server)
    }

    #[test]
    fn any_amount_of_ciphertext_is_taken_at_once() {
        let (mut client, mut server) = pair();
        let plain: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
        for piece in [1_000, 16_384, 20_000, 60_000, 300_000] {
            let mut cipher = Buf::with_capacity(300_000);
            server.seal(&plain, &mut cipher).unwrap();
            let mut got = Buf::with_capacity(1024);
            for cipher in cipher.chunks(piece) {
                client.put_ciphertext(cipher, false).unwrap();
                while client.take_plaintext(&mut got).unwrap().is_some_and(|n| n > 0) {
                    got.reserve(1024);
                }
            }
            assert!(got[..] == plain[..], "{piece}");
        }
    }
}
