FROM node:16
COPY ["package.json", "yarn.lock", "/srv/"]
COPY [ "src dir/", "/srv/src dir/" ]
RUN ["yarn", "--cwd", "/srv", "install"]
