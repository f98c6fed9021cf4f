//! Which processes are Triton's.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::engine::TRITON_BACKEND;
use crate::host::process::Ancestor;

fn process(argv: &[&str]) -> Process {
    Process { argv: argv.iter().map(|arg| (*arg).to_owned()).collect(), ..Process::default() }
}

#[test]
fn the_server_is_known_by_its_program() {
    for (argv, service, port) in [
        (&["tritonserver", "--model-repository=/models"][..], "triton:8000", 8000),
        (&["/opt/tritonserver/bin/tritonserver", "--http-port=81"], "triton:81", 81),
        (&["/x/tritonserver", "--http-port", "82", "--grpc-port", "83"], "triton:82", 82),
        (&["tritonserver", "--allow-http=false", "--grpc-port=84"], "triton:84", 84),
        (&["tritonserver", "--allow-http", "0"], "triton:8001", 8001),
        (&["tritonserver", "--http-port=nonsense"], "triton:8000", 8000),
    ] {
        let found = Triton.matches(&process(argv)).unwrap();
        let expected = (Role::Frontend, Some(service), Some(port));
        assert_eq!((found.role, found.service.as_deref(), found.port), expected, "{argv:?}");
        assert!(Triton.hooks(&process(argv)).contains(&SOCKETS));
    }
}

#[test]
fn a_program_that_starts_it_is_not_it() {
    for argv in [
        &["bash", "-c", "tritonserver --model-repository=/models"][..],
        &["docker", "run", "nvcr.io/nvidia/tritonserver:24.10-py3", "tritonserver"],
        &["mpirun", "-n", "1", "/opt/tritonserver/bin/tritonserver"],
        &["python3", "server.py"],
        &[],
    ] {
        assert_eq!(Triton.matches(&process(argv)), None, "{argv:?}");
    }
}

#[test]
fn the_stubs_of_the_python_backend_are_workers_of_their_server() {
    let argv = ["tritonserver", "--http-port=85"].map(str::to_owned).to_vec();
    let ancestors = vec![Ancestor { argv, ..Ancestor::default() }];
    let stub = Process { ancestors, ..process(&["/x/backends/python/triton_python_backend_stub", "/m/1/model.py"]) };
    let found = Triton.matches(&stub).unwrap();
    assert_eq!((found.role, found.service.as_deref()), (Role::Worker, Some("triton:85")));
}

#[test]
fn whoever_maps_the_library_is_a_server() {
    let maps =
        |library: &str| Process { libraries: vec!["libc.so.6".to_owned(), library.to_owned()], ..process(&["riva"]) };
    let found = Triton.matches(&maps("libtritonserver-717102f0.so")).unwrap();
    assert_eq!((found.role, found.service.as_deref(), found.port), (Role::Frontend, Some("triton:embedded"), None));
    assert_eq!(Triton.hooks(&maps("libtritonserver.so")), [TRITON_SERVER, TRITON_BACKEND]);
    for other in ["libtriton.so", "libtritonclient.so", "libtriton_python.so"] {
        assert_eq!(Triton.matches(&maps(other)), None, "{other}");
    }
}
