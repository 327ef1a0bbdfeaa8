"""Where rows come from: tables, files, folders, SQuAD's JSON, CIFAR-10's archives."""
