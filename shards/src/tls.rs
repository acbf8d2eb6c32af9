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

/// One connection's TLS state.
pub struct Session {
    connection: Connection,
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
        Ok(Self { connection: Connection::Client(connection) })
    }

    /// The server side.
    ///
    /// # Errors
    /// `InvalidData` where the configuration cannot be used.
    pub fn server(config: &Arc<ServerConfig>) -> io::Result<Self> {
        let connection = ServerConnection::new(Arc::clone(config)).map_err(invalid)?;
        Ok(Self { connection: Connection::Server(connection) })
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
            self.connection.process_new_packets().map_err(invalid)?;
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
