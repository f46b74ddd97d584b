# Reads what to clean up, a line each, until the demo says "released" or is gone.
trap '' HUP INT
data= container= directory=
while read -r what value; do
	case $what in
	postgres) data=$value ;;
	container) container=$value ;;
	directory) directory=$value ;;
	released) exit 0 ;;
	esac
done

# postmaster.pid is there exactly as long as the server runs; the name is checked in case the number belongs to another by now.
if [ -n "$data" ] && [ -r "$data/postmaster.pid" ]; then
	pid=$(head -n 1 "$data/postmaster.pid")
	case $(ps -o comm= -p "$pid") in
	*postgres*)
		kill -QUIT "$pid"
		tries=0
		while [ -e "$data/postmaster.pid" ] && kill -0 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do
			sleep 0.1
			tries=$((tries + 1))
		done
		;;
	esac
fi
if [ -n "$container" ]; then
	docker rm --force --volumes "$container"
fi
if [ -n "$directory" ]; then
	rm -rf "$directory"
fi
