//! How the provider ends: when its host wants it to, or is gone, and at no other time.

use std::process::Stdio;
use std::time::{Duration, Instant};

use mcplambda::plugin::services::goplugin;
use mcplambda::plugin::services::health::HealthCheckRequest;
use mcplambda::plugin::services::health::health_check_response::ServingStatus;
use tokio::process::Command;

use crate::tfclient::{HandshakeLine, PROVIDER_BINARY, Plugin, Process, Start, kill};

/// Asks for the health of the plugin, which it answers as long as it lives.
async fn assert_alive(plugin: &Plugin) {
    let request = HealthCheckRequest {
        service: "plugin".to_owned(),
    };
    let answer = plugin.health().check(request).await.expect("an answer");
    assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
}

#[tokio::test]
async fn a_shutdown_is_answered_and_the_process_is_gone_within_100_milliseconds() {
    // Terraform starts four processes for one apply and waits for each. The promise is about what
    // the program needs; the quickest of five tells that apart from what else the machine does.
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let plugin = Start::default().start().await;
        // As Terraform has them open.
        let _stdio = plugin.stdio().stream_stdio(()).await.expect("a stream");
        let silent = tokio_stream::pending::<goplugin::ConnInfo>();
        let _broker = plugin.broker().start_stream(silent).await;
        let mut controller = plugin.controller();
        let answered = controller.shutdown(goplugin::Empty {}).await;
        answered.expect("an answer before the end");
        let since_answer = Instant::now();
        let ended = plugin.process.ended().await;
        quickest = quickest.min(since_answer.elapsed());
        assert!(ended.status.success());
    }
    assert!(quickest < Duration::from_millis(100), "{quickest:?}");
}

#[tokio::test]
async fn stdio_and_broker_stay_open_and_silent_until_the_end() {
    let plugin = Start::default().start().await;
    let stdio = plugin.stdio().stream_stdio(()).await.expect("a stream");
    let silent = tokio_stream::pending::<goplugin::ConnInfo>();
    let broker = plugin.broker().start_stream(silent).await;
    let mut stdio = stdio.into_inner();
    let mut broker = broker.expect("a stream").into_inner();
    // Whatever either had to say would come before the answer to a later call.
    assert_alive(&plugin).await;
    tokio::select! {
        biased;
        said = stdio.message() => panic!("stdio said {said:?}"),
        said = broker.message() => panic!("the broker said {said:?}"),
        () = std::future::ready(()) => {}
    }
    let ended = plugin.shutdown().await;
    assert!(ended.status.success());
    assert_eq!(stdio.message().await.expect("ended well"), None);
    assert_eq!(broker.message().await.expect("ended well"), None);
}

#[tokio::test]
async fn ctrl_c_and_a_closed_terminal_are_ignored() {
    let mut plugin = Start::default().env("TF_LOG", "DEBUG").start().await;
    for signal in [libc::SIGINT, libc::SIGINT, libc::SIGHUP] {
        plugin.process.signal(signal);
        assert_alive(&plugin).await;
    }
    plugin.process.stderr_line_with("ignored a signal").await;
    assert_alive(&plugin).await;
    assert!(plugin.shutdown().await.status.success());
}

#[tokio::test]
async fn sigterm_ends_it_and_leaves_nothing() {
    let plugin = Start::default().start().await;
    let socket = plugin.line.socket().to_owned();
    plugin.process.signal(libc::SIGTERM);
    let ended = plugin.process.ended().await;
    assert!(ended.status.success(), "{ended:?}");
    assert!(!socket.exists());
}

#[tokio::test]
async fn the_hosts_death_ends_it_and_leaves_nothing() {
    // The shell stands for a host that is killed. The provider is its child, and shares its stdout:
    // that stdout ends when the last of the two is gone.
    let start = Start::without_tls();
    let mut host = Command::new("sh");
    host.args(["-c", "\"$0\" & wait", PROVIDER_BINARY])
        .envs(
            start
                .command()
                .as_std()
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut host = Process::spawn(host);
    let line = host.first_line().await.expect("the provider's handshake");
    let socket = HandshakeLine::parse(&line).socket().to_owned();
    assert!(socket.exists());
    kill(host.id(), libc::SIGKILL);
    let ended = host.ended().await;
    assert!(!ended.status.success(), "the host was killed");
    assert_eq!(ended.stdout, [line]);
    assert!(!socket.exists(), "{} was left", socket.display());
}

#[tokio::test]
async fn a_closed_connection_does_not_end_it() {
    // A host may reconnect; go-plugin's client does.
    let plugin = Start::without_tls().start().await;
    let Plugin {
        line,
        process,
        channel,
    } = plugin;
    drop(channel);
    let channel = crate::tfclient::connect::connect(
        line.address.clone(),
        crate::tfclient::connect::Security::Plain,
    )
    .await
    .expect("still listening");
    let plugin = Plugin {
        line,
        process,
        channel,
    };
    assert_alive(&plugin).await;
    assert!(plugin.shutdown().await.status.success());
}
