"""The real Dynamo frontend and its mocker engine, for tests: no GPU, no etcd, no NATS, no model hub."""
