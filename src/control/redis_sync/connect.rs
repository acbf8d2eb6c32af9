//! One connection to Redis, however it is set up: a server, a cluster, or a server that sentinels know.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    Script, TlsCertificates, TlsMode,
    aio::MultiplexedConnection,
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    sentinel::{SentinelClientBuilder, SentinelServerType},
};

use crate::config::{Redis, RedisMode};

/// How long connecting may take, and one exchange. Both are shorter than a lease: one that is not answered is
/// asked again while the lease lasts.
const TIMEOUT: Duration = Duration::from_millis(700);

/// An open connection.
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Connects as `settings` say.
    pub(super) async fn open(settings: &Redis) -> Result<Self, RedisError> {
        let address = |(host, port): (&str, u16)| {
            if settings.tls {
                ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None }
            } else {
                ConnectionAddr::Tcp(host.to_owned(), port)
            }
        };
        let mut login = RedisConnectionInfo::default().set_db(i64::from(settings.database));
        if let Some(username) = &settings.username {
            login = login.set_username(username);
        }
        if let Some(password) = &settings.password {
            login = login.set_password(password.expose());
        }
        let certificates = certificates(settings)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT));
        let places = settings.addrs.iter().map(|addr| address((&addr.host, addr.port)));
        match settings.mode {
            RedisMode::Standalone => {
                let place = places.into_iter().next().ok_or_else(no_address)?;
                let info = place.into_connection_info()?.set_redis_settings(login);
                let client = match certificates {
                    Some(certificates) => Client::build_with_tls(info, certificates)?,
                    None => Client::open(info)?,
                };
                client.get_multiplexed_async_connection_with_config(&config).await.map(Self::One)
            }
            RedisMode::Sentinel => {
                let name = settings.master_name.as_deref().unwrap_or("mymaster");
                let mut builder = SentinelClientBuilder::new(places, name, SentinelServerType::Master)?
                    .set_client_to_redis_db(i64::from(settings.database));
                if settings.tls {
                    builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
                }
                if let Some(certificates) = certificates {
                    builder = builder
                        .set_client_to_redis_certificates(certificates.clone())
                        .set_client_to_sentinel_certificates(certificates);
                }
                if let Some(username) = &settings.username {
                    builder = builder.set_client_to_redis_username(username);
                }
                if let Some(password) = &settings.password {
                    builder = builder.set_client_to_redis_password(password.expose());
                }
                let mut client = builder.build()?;
                client.get_async_connection_with_config(&config).await.map(Self::One)
            }
            RedisMode::Cluster => {
                let mut builder = ClusterClientBuilder::new(places)
                    .retries(0)
                    .connection_timeout(TIMEOUT)
                    .response_timeout(TIMEOUT);
                if let Some(certificates) = certificates {
                    builder = builder.certs(certificates);
                }
                if let Some(username) = &settings.username {
                    builder = builder.username(username);
                }
                if let Some(password) = &settings.password {
                    builder = builder.password(password.expose());
                }
                builder.build()?.get_async_connection().await.map(Self::Cluster)
            }
        }
    }

    /// Runs `script` for `key`; its text is sent only where the server does not know it yet.
    pub(super) async fn run(
        &mut self,
        script: &Script,
        key: &str,
        args: &[String],
    ) -> Result<String, RedisError> {
        let mut call = script.prepare_invoke();
        call.key(key);
        for arg in args {
            call.arg(arg);
        }
        let answer = async {
            match self {
                Self::One(connection) => call.invoke_async(connection).await,
                Self::Cluster(connection) => call.invoke_async(connection).await,
            }
        };
        match tokio::time::timeout(TIMEOUT, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))),
        }
    }
}

/// The roots to trust, where they are not the system's.
fn certificates(settings: &Redis) -> Result<Option<TlsCertificates>, RedisError> {
    let Some(path) = &settings.ca_file else { return Ok(None) };
    let read = std::fs::read(path);
    let root_cert = read.map_err(|error| {
        RedisError::from(std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    })?;
    Ok(Some(TlsCertificates { client_tls: None, root_cert: Some(root_cert) }))
}

fn no_address() -> RedisError {
    RedisError::from(std::io::Error::from(std::io::ErrorKind::AddrNotAvailable))
}
