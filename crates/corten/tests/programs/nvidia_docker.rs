//! `nvidia-docker`, with a `docker` that only writes down how it was started.

use crate::stage::{Stage, stderr, stdout};

fn stage() -> Stage {
    let stage = Stage::new();
    let folder = stage.text("");
    stage.program(
        "docker",
        &format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >{folder}/called\nenv >{folder}/environment\necho docker; exit 7\n"),
    );
    stage
}

#[test]
fn becomes_docker_with_the_runtime() {
    let stage = stage();
    let mut command = stage.command("nvidia-docker");
    command.env("PATH", format!("{}:/usr/bin:/bin", stage.text(""))).env("NV_GPU", "0 1").env("DOCKER_HOST", "tcp://h");
    let output = command.args(["--debug", "run", "a b", ""]).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "the status is docker's: {}", stderr(&output));
    let want = "--debug\nrun\n--runtime=nvidia\n-e\nNVIDIA_VISIBLE_DEVICES=0,1\na b\n\n";
    assert_eq!(stage.read("called"), want);
    assert!(stage.read("environment").contains("DOCKER_HOST=tcp://h\n"), "the client needs the caller's environment");
}

#[test]
fn the_version_comes_before_dockers() {
    let stage = stage();
    let output = stage.command("nvidia-docker").env("PATH", stage.text("")).arg("version").output().unwrap();
    let text = stdout(&output);
    assert!(text.starts_with("NVIDIA Docker: ") && text.ends_with("\ndocker\n"), "{text}");
    assert_eq!(stage.read("called"), "version\n");
}

#[test]
fn another_client_can_be_named() {
    let stage = stage();
    let client = format!("{} -H tcp://other", stage.text("docker"));
    let output =
        stage.command("nvidia-docker").env("NV_DOCKER", client).env("NV_DEBUG", "1").args(["create", "x"]).output();
    assert!(stderr(&output.unwrap()).starts_with("+ "));
    assert_eq!(stage.read("called"), "-H\ntcp://other\ncreate\n--runtime=nvidia\nx\n");
}

#[test]
fn without_a_client_it_says_so_as_a_shell_does() {
    let stage = Stage::new();
    for client in ["no-such-docker", &stage.text("bin/nvidia-docker")] {
        let output = stage.command("nvidia-docker").env("NV_DOCKER", client).arg("ps").output().unwrap();
        assert_eq!(output.status.code(), Some(127), "{client}");
        assert!(stderr(&output).contains("[CORTEN-E066]"), "{}", stderr(&output));
    }
}
