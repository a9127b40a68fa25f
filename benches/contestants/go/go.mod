module contestant

go 1.27
