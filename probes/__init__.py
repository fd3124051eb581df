"""What we can see, one source a file. A probe gathers one fact and judges nothing."""
