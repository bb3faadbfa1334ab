FROM gradle:8-jdk17 AS build
COPY --chown=gradle:gradle . /home/gradle/src
WORKDIR /home/gradle/src
RUN gradle build --no-daemon
FROM openjdk:17-slim
EXPOSE 8080/tcp
RUN mkdir /app
COPY --from=build /home/gradle/src/build/libs/*.jar /app/spring-boot.jar
ENTRYPOINT ["java", "-XX:+UseContainerSupport", "-jar", "/app/spring-boot.jar"]
